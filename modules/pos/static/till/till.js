// The page behind the counter. Each step is done here, at once; the server hears of it a moment later.
import { know } from "./address.js";
import { begin as beginCashiers } from "./cashiers.js";
import { begin as beginCustomers } from "./customers.js";
import { begin as beginKeys } from "./keys.js";
import { formatter, lineTotal, read, write } from "./money.js";
import { begin as beginOffline } from "./offline.js";
import { element, find, icon, language, notice, numbers, root, word } from "./page.js";
import { begin as beginPayment } from "./payment.js";
import { begin as beginProducts } from "./products.js";
import { begin as beginQueue } from "./queue.js";
import { begin as beginSale, emptySale, keepSale } from "./sale.js";
import { STATES_MS, showConnection, showSession, watch } from "./session.js";
import { openStore } from "./store.js";
import { begin as beginTickets } from "./tickets.js";

async function start() {
  const urls = Object.fromEntries(
    ["data", "tickets", "states", "cashier", "find", "open", "worker", "signIn"].map((name) => [
      name,
      root.dataset[`url${name[0].toUpperCase()}${name.slice(1)}`],
    ]),
  );
  urls.register = root.dataset.register;
  notice("loading", word("loading"), "info");
  let store;
  try {
    store = await openStore(urls.register);
    await navigator.storage?.persist?.();
  } catch {
    notice("storage", word("storage"), "danger");
    notice("loading", "");
    return;
  }
  const token = { value: document.querySelector("meta[name=csrf-token]").content };
  const till = {
    root,
    find,
    word,
    element,
    icon,
    notice,
    language,
    urls,
    store,
    token,
    read,
    write,
    lineTotal,
    sale: emptySale(),
    cashier: null,
    state: "",
    shown: [],
  };

  till.queue = beginQueue({
    store,
    urls,
    token,
    problem: (status) => word("ill", { status }),
    onState(state) {
      showConnection(till, state);
    },
    onSettled(ticket, answer) {
      // The shift has ended, or the PIN's word no longer holds: the page must not say somebody else sells.
      if (
        till.cashier &&
        ticket.sale.cashier_token === till.cashier.token &&
        answer.cashier &&
        answer.cashier !== till.cashier.name
      )
        till.forgetCashier?.();
      if (answer.session_id) till.session = till.session || { id: answer.session_id };
      till.tickets?.settled(ticket, answer);
      till.payment?.settled(ticket, answer);
    },
  });
  const answer = await till.queue.get(urls.data);
  till.data = answer.status === 200 ? answer.data : await store.get("data");
  notice("loading", "");
  if (!till.data) {
    notice("data", word("noData"), "danger");
    return;
  }
  const fresh = answer.status === 200 && !answer.kept;
  if (fresh) {
    await store.set("data", till.data);
    token.value = till.data.csrf;
  }
  till.freshAt = fresh ? Date.now() : 0;
  showConnection(till, fresh ? "online" : answer.status === 401 ? "signed-out" : "offline");
  know(till.data.usual_addresses);
  till.money = formatter(numbers, till.data.currency);
  till.session = till.data.session;
  // Whoever has taken over has done so while somebody was signed in; another sign-in ends it.
  const kept = await store.get("cashier");
  till.cashier = kept && kept.under === till.data.user.id ? kept : null;
  await keepSale(till);
  till.price = (product) => read(product.price, till.data.currency.places);
  till.lineTotal = (line) =>
    lineTotal(
      read(line.price, till.data.currency.places),
      read(line.quantity, 3),
      read(line.discount || "0", 2),
    );
  till.total = () => till.sale.lines.reduce((sum, line) => sum + till.lineTotal(line), 0n);

  till.products = beginProducts(till);
  beginSale(till);
  till.customers = beginCustomers(till);
  beginCashiers(till);
  till.tickets = beginTickets(till);
  till.payment = beginPayment(till);
  beginKeys(till);
  showSession(till);
  till.queue.kick();
  setInterval(() => watch(till), STATES_MS);
  beginOffline(urls);
  root.dataset.ready = "1";
  find("search").focus();
}

start();
