// The page behind the counter. Each step is done here, at once; the server hears of it a moment later.
import { begin as beginPayment } from "./payment.js";
import { begin as beginQueue } from "./queue.js";
import { openStore } from "./store.js";
import { formatter, lineTotal, read, write } from "./money.js";
import { begin as beginTickets } from "./tickets.js";

const root = document.querySelector("[data-till]");
const find = (name, within = document) => within.querySelector(`[data-${name}]`);
const language = document.documentElement.lang;
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const TILES = 60;
const LINES = 500;
const STATES_MS = 3000;
const FRESH_MS = 5 * 60 * 1000; // prices, products and customers are asked for again after so long
const PAUSE_MS = 250;
const MOST = 99999000n; // thousandths: more of one thing is a slip

/** A sale has its name from the first: it can be finished once, in whatever tab, however often a key is pressed. */
const emptySale = () => ({ client_id: crypto.randomUUID(), lines: [], customer: null });

/** A sentence of the page with its values filled in. */
function word(name, values = {}) {
  const text = root.dataset[`word${name[0].toUpperCase()}${name.slice(1)}`] || name;
  return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
const icon = (name) => element("i", { className: `bi bi-${name}`, ariaHidden: "true" });

function notice(key, text, tone = "warning", ...more) {
  const place = find("notices");
  place.querySelector(`[data-notice="${key}"]`)?.remove();
  if (!text) return;
  const line = element("div", { className: `alert alert-${tone}` }, text, ...more);
  line.dataset.notice = key;
  line.setAttribute("role", tone === "danger" ? "alert" : "status");
  place.append(line);
}

async function start() {
  const urls = Object.fromEntries(["data", "tickets", "states", "cashier", "find", "open", "worker", "signIn"].map((name) => [name, root.dataset[`url${name[0].toUpperCase()}${name.slice(1)}`]]));
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
  const till = { root, find, word, element, icon, notice, language, urls, store, token, read, write, lineTotal, sale: emptySale(), cashier: null, state: "", shown: [] };

  till.queue = beginQueue({
    store, urls, token,
    problem: (status) => word("ill", { status }),
    onState(state) { showConnection(till, state); },
    onSettled(ticket, answer) {
      // The shift has ended, or the PIN's word no longer holds: the page must not say somebody else sells.
      if (till.cashier && ticket.sale.cashier_token === till.cashier.token && answer.cashier && answer.cashier !== till.cashier.name) till.forgetCashier?.();
      if (answer.session_id) till.session = till.session || { id: answer.session_id };
      till.tickets?.settled(ticket, answer);
      till.payment?.settled(ticket, answer);
    },
  });
  const answer = await till.queue.get(urls.data);
  till.data = answer.status === 200 ? answer.data : await store.get("data");
  notice("loading", "");
  if (!till.data) { notice("data", word("noData"), "danger"); return; }
  if (answer.status === 200) { await store.set("data", till.data); token.value = till.data.csrf; }
  till.freshAt = answer.status === 200 ? Date.now() : 0;
  showConnection(till, answer.status === 200 ? "online" : answer.status === 401 ? "signed-out" : "offline");
  till.money = formatter(language, till.data.currency);
  till.session = till.data.session;
  // Whoever has taken over has done so while somebody was signed in; another sign-in ends it.
  const kept = await store.get("cashier");
  till.cashier = kept && kept.under === till.data.user.id ? kept : null;
  await keepSale(till);
  till.price = (product) => read(product.price, till.data.currency.places);
  till.lineTotal = (line) => lineTotal(read(line.price, till.data.currency.places), read(line.quantity, 3), read(line.discount || "0", 2));
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

/** The sale that is being rung up survives a reload in its own tab; and closing the tab, in the one that opens next. */
async function keepSale(till) {
  const name = `envoi-till-sale-${till.urls.register}`;
  // The first tab keeps it for whoever comes after it is closed: two tabs must not ring up one sale.
  const first = await new Promise((known) => {
    navigator.locks.request(name, { ifAvailable: true }, (lock) => { known(Boolean(lock)); return lock ? new Promise(() => {}) : null; });
  });
  let keeper = first;
  if (!first) navigator.locks.request(name, () => { keeper = true; till.save(); return new Promise(() => {}); });
  const kept = window.sessionStorage.getItem(name) || (first ? window.localStorage.getItem(name) : null);
  try { till.sale = { ...till.sale, ...JSON.parse(kept) }; } catch { /* begun anew */ }
  till.save = () => {
    const text = JSON.stringify(till.sale);
    window.sessionStorage.setItem(name, text);
    if (keeper) window.localStorage.setItem(name, text);
  };
}

// ------------------------------------------------------------------------------------------ server and session

function showConnection(till, state) {
  till.state = state;
  const place = find("connection");
  const [name, tone, words] = { online: ["wifi", "success", "online"], offline: ["wifi-off", "warning", "offline"], "signed-out": ["person-x", "danger", "signedOut"] }[state];
  place.className = `till-connection state state-${tone}`;
  const signIn = state === "signed-out" ? [" ", element("a", { href: `${till.urls.signIn}?next=${encodeURIComponent(window.location.pathname)}`, textContent: till.word("signIn"), className: "alert-link" })] : [];
  if (place.dataset.state !== state) place.replaceChildren(icon(name), ` ${till.word(words)}`, ...signIn);
  place.dataset.state = state;
}

/** Ask what became of the mails that are shown, and whether the register is still open. */
async function watch(till) {
  if (document.hidden) return;
  const ids = till.tickets.moving();
  const { status, data } = await till.queue.post(till.urls.states, { tickets: ids });
  if (status === 200 && data) {
    till.token.value = data.csrf;
    const was = till.session;
    till.session = data.session;
    if (was && !data.session) till.closedBy = data.closed_by;
    if (data.session) till.closedBy = "";
    till.tickets.update(data.tickets);
    if (till.state !== "online") till.queue.kick();
    showConnection(till, "online");
    showSession(till);
    await refresh(till);
  } else {
    showConnection(till, [400, 401, 403].includes(status) ? "signed-out" : "offline");
  }
}

/** What is sold and to whom may have changed since the page was opened; lines that were rung up keep their price. */
async function refresh(till) {
  if (Date.now() - till.freshAt < FRESH_MS || document.querySelector("dialog[open]")) return;
  till.freshAt = Date.now();
  const { status, data } = await till.queue.get(till.urls.data);
  if (status !== 200 || document.querySelector("dialog[open]")) return;
  till.data = data;
  till.token.value = data.csrf;
  await till.store.set("data", data);
  for (const part of [till.products, till.customers, till.payment]) part.fill();
}

/** What the page does not have at hand: of very many products or customers it got the first only. */
async function findMore(till, what, text) {
  const { status, data } = await till.queue.post(till.urls.find, { what, text });
  if (status !== 200) return false;
  const known = new Set(till.data[what].map((one) => one.id));
  const more = data.filter((one) => !known.has(one.id));
  till.data[what].push(...more);
  return more.length > 0;
}

function showSession(till) {
  const { session } = till;
  if (session) till.lastSession = session.id; // closed elsewhere, the server knows what to do with what is sold
  find("session-link")?.toggleAttribute("hidden", !session);
  if (till.closedBy !== undefined && till.closedBy !== "" && !session) {
    till.notice("session", till.word("closed", { name: till.closedBy }));
    return;
  }
  if (!session) {
    till.notice("session", till.word("notOpen"), "warning", " ", till.element("a", { href: till.urls.open, textContent: till.word("openIt"), className: "alert-link" }));
    return;
  }
  const opened = new Date(session.opened_at);
  const early = opened.toDateString() !== new Date().toDateString();
  const date = new Intl.DateTimeFormat(till.language, { dateStyle: "long" }).format(opened);
  till.notice("session", early ? till.word("yesterday", { date }) : "", "warning", " ", till.element("a", { href: session.url, textContent: till.word("showIt"), className: "alert-link" }));
}

async function beginOffline(urls) {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register(urls.worker, { scope: urls.worker.replace("worker.js", "") });
    const { active } = await navigator.serviceWorker.ready;
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => name.includes("/static/"));
    active.postMessage({ keep: [window.location.href, ...new Set(loaded)] });
    root.dataset.offline = "1";
  } catch { /* not over plain HTTP to another machine: then the page must stay open */ }
}

// ------------------------------------------------------------------------------------------------- products

function beginProducts(till) {
  const search = find("search");
  const place = find("tiles");
  let chosen = null;
  let timer;

  function matching() {
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    return till.data.products.filter((product) => (words.length || chosen === null || product.category === chosen) && words.every((one) => product.folded.includes(one)));
  }
  function exactly(typed) {
    return till.data.products.find((one) => one.barcode && one.barcode === typed) || till.data.products.find((one) => one.code && one.code.toLowerCase() === typed.toLowerCase());
  }
  function show() {
    till.shown = matching();
    place.replaceChildren(...till.shown.slice(0, TILES).map((product) => {
      const button = element("button", { type: "button", className: "tile" }, element("span", { className: "tile-name", textContent: product.name }), element("span", { className: "tile-price", textContent: till.money(till.price(product)) }));
      // A scanner types where the focus is: back to the field, but for fingers, whose keyboard would come up.
      button.addEventListener("click", () => { till.ring(product); if (window.matchMedia("(pointer: fine)").matches) search.focus(); });
      return element("li", {}, button);
    }));
    if (!till.shown.length) place.replaceChildren(element("li", { className: "muted", textContent: till.word("nothing") }));
  }
  function choose(key) {
    chosen = key;
    for (const button of find("categories").children) button.setAttribute("aria-pressed", String(button.category === key));
  }
  function fill() {
    for (const product of till.data.products) product.folded = fold(`${product.name} ${product.code}`);
    const categories = [...new Set(till.data.products.map((product) => product.category))].filter(Boolean).sort((a, b) => a.localeCompare(b, till.language));
    const buttons = [[null, till.word("all")], ...categories.map((name) => [name, name]), ...(categories.length && till.data.products.some((product) => !product.category) ? [["", till.word("other")]] : [])];
    find("categories").replaceChildren(...(buttons.length > 1 ? buttons : []).map(([key, title]) => {
      const button = element("button", { type: "button", className: "btn btn-sm btn-outline-secondary", textContent: title });
      button.category = key;
      button.addEventListener("click", () => { search.value = ""; choose(key); show(); });
      return button;
    }));
    choose(buttons.some(([key]) => key === chosen) ? chosen : null);
    show();
  }
  async function lookFurther(text) {
    if (!till.data.more_products || text.length < 2 || !await findMore(till, "products", text)) return false;
    for (const product of till.data.products) product.folded ??= fold(`${product.name} ${product.code}`);
    if (search.value.trim() === text) show();
    return true;
  }
  search.addEventListener("input", () => {
    show();
    clearTimeout(timer);
    timer = setTimeout(() => lookFurther(search.value.trim()), PAUSE_MS);
  });
  search.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const typed = search.value.trim();
    if (!typed) { till.payment.open(); return; }
    let product = exactly(typed) || matching()[0];
    if (!product) {
      search.select(); // the next scan is one of its own
      await lookFurther(typed);
      product = exactly(typed) || (search.value.trim() === typed ? till.shown[0] : null);
    }
    till.notice("unknown", product ? "" : till.word("unknown", { code: typed }));
    if (!product) return;
    till.ring(product);
    if (search.value.trim() === typed) search.value = "";
    show();
  });
  till.showProducts = show;
  till.exactly = exactly;
  fill();
  return { fill };
}

// ----------------------------------------------------------------------------------------------------- sale

function beginSale(till) {
  const place = find("lines");

  till.ring = (product) => {
    const same = till.sale.lines.find((line) => line.product_id === product.id && line.price === product.price && !Number(line.discount || 0));
    if (!same && till.sale.lines.length >= LINES) { till.notice("lines", till.word("lines", { count: LINES })); return; }
    if (same) same.quantity = write(read(same.quantity, 3) + 1000n, 3);
    else till.sale.lines.push({ product_id: product.id, description: product.name, quantity: "1", price: product.price, discount: "", tax_name: product.tax_name, tax_rate: product.tax_rate });
    till.save();
    for (const said of ["unknown", "sold", "noCustomer"]) till.notice(said, "");
    show();
    place.lastElementChild?.scrollIntoView({ block: "nearest" });
  };
  till.newSale = () => { till.sale = emptySale(); till.save(); till.notice("paid", ""); till.notice("number", ""); show(); find("customer").value = ""; find("search").value = ""; till.showProducts(); find("search").focus(); };

  // As somebody here would type it.
  const mark = new Intl.NumberFormat(till.language).formatToParts(1.5).find((part) => part.type === "decimal").value;
  const typed = till.typed = (text) => text.replace(".", mark);
  const plain = (text) => { const [whole, rest = ""] = text.split("."); const kept = rest.replace(/0+$/, ""); return kept ? `${whole}.${kept}` : whole; };

  function field(line, name, label, places, check) {
    const input = element("input", { className: "form-control form-control-sm number", value: typed(plain(line[name] || "")), inputMode: "decimal", autocomplete: "off", ariaLabel: `${label} – ${line.description}` });
    // What is typed or scanned replaces what stands there.
    for (const arrives of ["focus", "click"]) input.addEventListener(arrives, () => input.select());
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") { input.blur(); if (!root.querySelector(".till-line .is-invalid")) find("search").focus(); } });
    input.addEventListener("change", () => {
      const scanned = till.exactly(input.value.trim());
      if (scanned && scanned.barcode === input.value.trim()) { till.ring(scanned); return; }
      const value = input.value.trim() ? read(input.value, places) : 0n;
      const wrong = value === null || !check(value);
      input.classList.toggle("is-invalid", wrong);
      input.setAttribute("aria-invalid", String(wrong));
      if (wrong) { till.notice("number", till.word("badNumber")); return; }
      till.notice("number", "");
      line[name] = value === 0n ? (name === "quantity" ? "0" : "") : write(value, places);
      if (name === "quantity" && value === 0n) till.sale.lines.splice(till.sale.lines.indexOf(line), 1);
      till.save();
      show();
    });
    return input;
  }
  function button(line, label, name, act) {
    const made = element("button", { type: "button", className: "btn btn-sm btn-outline-secondary", title: label, ariaLabel: `${label} – ${line.description}` }, icon(name));
    made.addEventListener("click", () => { const at = till.sale.lines.indexOf(line); act(); till.save(); show(); place.children[Math.min(at, place.children.length - 1)]?.querySelector(`[title="${label}"]`)?.focus(); });
    return made;
  }
  function show() {
    place.replaceChildren(...till.sale.lines.map((line) => element("li", { className: "till-line" },
      element("div", { className: "till-line-name" }, element("span", { textContent: line.description }), element("output", { textContent: till.money(till.lineTotal(line)) })),
      element("div", { className: "till-line-tools" },
        button(line, till.word("less"), "dash", () => { const left = read(line.quantity, 3) - 1000n; if (left > 0n) line.quantity = write(left, 3); else till.sale.lines.splice(till.sale.lines.indexOf(line), 1); }),
        field(line, "quantity", till.word("quantity"), 3, (value) => value >= 0n && value <= MOST),
        button(line, till.word("more"), "plus", () => { line.quantity = write(read(line.quantity, 3) + 1000n, 3); }),
        element("span", { className: "till-times", textContent: `× ${till.money(read(line.price, till.data.currency.places))}` }),
        element("label", { className: "till-discount" }, "−", field(line, "discount", till.word("discount"), 2, (value) => value >= 0n && value <= 10000n), "%"),
        button(line, till.word("remove"), "x-lg", () => till.sale.lines.splice(till.sale.lines.indexOf(line), 1))))));
    if (!till.sale.lines.length) place.replaceChildren(element("li", { className: "till-empty muted", textContent: till.word("empty") }));
    find("total").textContent = till.money(till.total());
    find("pay").disabled = !till.sale.lines.length;
    find("clear").disabled = !till.sale.lines.length;
  }
  find("clear").addEventListener("click", () => { if (window.confirm(till.word("clear"))) till.newSale(); });
  find("pay").addEventListener("click", () => till.payment.open());
  till.wrongField = () => root.querySelector(".till-line .is-invalid");
  till.showSale = show;
  show();
}

function beginCustomers(till) {
  const input = find("customer");
  const plain = (customer) => (customer.city ? `${customer.name} – ${customer.city}` : customer.name);
  const times = new Map();
  const label = (customer) => (times.get(plain(customer)) > 1 ? `${plain(customer)} (${customer.id})` : plain(customer));
  let timer;
  function fill() {
    times.clear();
    for (const customer of till.data.customers) times.set(plain(customer), (times.get(plain(customer)) || 0) + 1);
    document.getElementById("till-customers").replaceChildren(...till.data.customers.map((customer) => element("option", { value: label(customer) })));
  }
  function wanted() {
    const text = fold(input.value.trim());
    if (!text) return null;
    const words = text.split(/\s+/);
    const { customers } = till.data;
    return customers.find((one) => fold(label(one)) === text) || customers.find((one) => fold(one.name).startsWith(text)) || customers.find((one) => words.every((word) => fold(label(one)).includes(word)));
  }
  async function lookFurther() {
    const text = input.value.trim();
    if (till.data.more_customers && text.length > 1 && await findMore(till, "customers", text)) fill();
  }
  fill();
  if (till.sale.customer) input.value = label(till.sale.customer);
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(lookFurther, PAUSE_MS); });
  input.addEventListener("change", async () => {
    const { sale } = till;
    let found = wanted();
    if (!found && input.value.trim()) { await lookFurther(); found = wanted(); }
    if (sale !== till.sale) return; // the next customer is there already
    till.notice("noCustomer", !found && input.value.trim() ? till.word("noCustomer", { name: input.value.trim() }) : "");
    till.sale.customer = found || null;
    input.value = found ? label(found) : "";
    till.save();
  });
  return { fill };
}

function beginCashiers(till) {
  const dialog = find("cashier-dialog");
  const who = find("cashier-who");
  const pin = find("cashier-pin");
  const problem = find("cashier-problem");
  const show = () => { find("cashier-name").textContent = till.cashier?.name || till.data.user.name; };
  find("show-cashier").addEventListener("click", () => {
    const own = till.element("option", { value: "", textContent: till.data.user.name });
    who.replaceChildren(own, ...till.data.cashiers.filter((one) => one.id !== till.data.user.id).map((one) => element("option", { value: one.id, textContent: one.name })));
    problem.textContent = pin.value = "";
    dialog.showModal();
  });
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!who.value) {
      till.cashier = null;
      till.queue.post(till.urls.cashier, {}); // the pages beside the till learn of it; the till itself needs no answer
    } else {
      const { status, data } = await till.queue.post(till.urls.cashier, { user_id: Number(who.value), pin: pin.value });
      pin.value = "";
      if (status !== 200) { problem.textContent = data?.problem || till.word("pinOffline"); pin.focus(); return; }
      till.cashier = { ...data, under: till.data.user.id };
    }
    await till.store.set("cashier", till.cashier);
    show();
    dialog.close();
    find("search").focus();
  });
  till.forgetCashier = () => { till.cashier = null; till.store.set("cashier", null); show(); };
  show();
}

function beginKeys(till) {
  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => { if (event.target.closest("[data-close]")) dialog.close(); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "F9" && !document.querySelector("dialog[open]")) { event.preventDefault(); till.payment.open(); }
    if (event.key === "F2") { event.preventDefault(); find("search").focus(); }
    // A scanner types wherever the focus is – on a tile, a button, nowhere: it is meant for the search.
    const types = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (types && !event.target.closest("input, textarea, select, dialog") && !document.querySelector("dialog[open], .dropdown-menu.show")) {
      find("search").value = "";
      find("search").focus();
    }
  });
}

start();
