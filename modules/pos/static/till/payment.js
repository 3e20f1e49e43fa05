// The payment screen: several payments, change, the receipt by mail; one key, and the next customer.
import { cleaned, completions, couldBe, meant } from "./address.js";
import { readTyped } from "./numbers.js";
import { marks } from "./page.js";

const SHOWN_MS = 8000;
const PAYMENTS = 20;

export function begin(till) {
  const { find, element, word, money, read, write } = till;
  const dialog = find("payment");
  const amount = find("amount");
  const address = find("address");
  const { places } = till.data.currency;
  let payments = [];
  let method = null;
  let busy = false;
  let typedFor = ""; // the sale for which an address was typed; it stays there until that sale is finished
  let last = null; // the sale that was finished last, until the next one is begun

  /** What was taken already stays taken, whoever leaves this screen or loads the page again. */
  function keep() {
    till.sale.payments = payments.map((payment) => ({ ...payment, amount: write(payment.amount, places) }));
    till.save();
  }

  const paid = () => payments.reduce((sum, payment) => sum + payment.amount, 0n);
  const left = () => till.total() - paid();
  const cash = () =>
    payments.filter((payment) => payment.kind === "cash").reduce((sum, payment) => sum + payment.amount, 0n);

  function choose(chosen) {
    method = chosen;
    for (const button of find("methods").children)
      button.setAttribute("aria-pressed", String(button.dataset.method === String(chosen.id)));
    find("quick").hidden = chosen.kind !== "cash";
    amount.focus();
    amount.select();
  }

  function show() {
    const rest = left();
    find("payment-total").textContent = money(till.total());
    find("payments").replaceChildren(
      ...payments.map((payment) => {
        const remove = element(
          "button",
          {
            type: "button",
            className: "btn btn-sm btn-link",
            ariaLabel: `${word("remove")} – ${payment.name}`,
          },
          till.icon("x-lg"),
        );
        remove.addEventListener("click", () => {
          payments.splice(payments.indexOf(payment), 1);
          keep();
          show();
          amount.focus();
          amount.select();
        });
        return element(
          "li",
          {},
          element("span", { textContent: payment.name }),
          element("output", { textContent: money(payment.amount) }),
          remove,
        );
      }),
    );
    const words =
      rest > 0n
        ? word("below", { amount: money(rest) })
        : rest === 0n
          ? word("exact")
          : -rest > cash()
            ? word("tooMuch")
            : word("change", { amount: money(-rest) });
    const place = find("left");
    place.textContent = words;
    place.className = `payment-left ${rest > 0n || -rest > cash() ? "text-danger" : "payment-ready"}`;
    find("finish").disabled = rest > 0n || (rest < 0n && -rest > cash());
    amount.value = rest > 0n ? till.typed(write(rest, places)) : "";
    const notes = places
      ? [5n, 10n, 20n, 50n, 100n, 200n].map((note) => note * 10n ** BigInt(places))
      : [1000n, 5000n, 10000n];
    find("quick").replaceChildren(
      ...notes
        .filter((note) => note > rest && rest > 0n)
        .slice(0, 4)
        .map((note) => {
          const button = element("button", {
            type: "button",
            className: "btn btn-sm btn-outline-secondary",
            textContent: money(note),
          });
          button.addEventListener("click", () => {
            amount.value = till.typed(write(note, places));
            add();
          });
          return button;
        }),
    );
  }

  /** Take what stands in the amount as a payment; false when it makes no sense. */
  function add() {
    const value = readTyped(amount.value, places, marks);
    if (value === null || value <= 0n || payments.length >= PAYMENTS) {
      amount.classList.add("is-invalid");
      amount.setAttribute("aria-invalid", "true");
      return false;
    }
    amount.classList.remove("is-invalid");
    amount.removeAttribute("aria-invalid");
    payments.push({ method_id: method.id, name: method.name, kind: method.kind, amount: value });
    keep();
    show();
    return true;
  }

  // ---------------------------------------------------------------------------------------------- the address

  function look() {
    const text = cleaned(address.value);
    const wrong = Boolean(text) && !couldBe(text);
    const better = text ? meant(text, till.language) : "";
    const suggestion = find("suggestion");
    suggestion.hidden = !better;
    suggestion.textContent = better ? word("mean", { address: better }) : "";
    suggestion.dataset.better = better;
    find("loud").textContent = text;
    address.classList.toggle("is-invalid", wrong && document.activeElement !== address);
    document
      .getElementById("payment-domains")
      .replaceChildren(...completions(text, till.language).map((value) => element("option", { value })));
    return !wrong;
  }
  address.addEventListener("input", look);
  address.addEventListener("blur", look);
  find("suggestion").addEventListener("click", (event) => {
    address.value = event.currentTarget.dataset.better;
    look();
    find("finish").focus();
  });

  // ------------------------------------------------------------------------------------------------ the steps

  function open() {
    if (dialog.open) return;
    const field = document.activeElement;
    if (till.root.contains(field) && field.matches("input")) {
      field.blur();
      field.focus();
    } // or it has not told its change
    if (!till.sale.lines.length) return;
    // Without the server one sells all the same. With it, the cash in the drawer is counted first.
    if (till.state === "online" && !till.session && !till.lastSession) {
      till.root.querySelector("[data-notice=session] a")?.focus();
      return;
    }
    if (!till.data.methods.length) {
      till.notice("method", word("noMethod"), "danger");
      return;
    }
    const wrong = till.wrongField();
    if (wrong) {
      wrong.focus();
      return;
    }
    payments = (till.sale.payments || []).map((payment) => ({
      ...payment,
      amount: read(payment.amount, places),
    }));
    const { customer } = till.sale;
    const usual = customer?.usual || [];
    find("usual").hidden = !usual.length;
    find("usual-box").checked = usual.length > 0 && till.data.propose_mail && !customer.opted_out;
    find("usual-address").textContent = usual.join("; ");
    find("address-note").hidden = Boolean(customer);
    if (typedFor !== till.sale.client_id) address.value = "";
    typedFor = till.sale.client_id;
    find("format").value = till.data.register.format;
    dialog.showModal();
    show();
    look();
    choose(till.data.methods[0]); // each customer anew: a card that the last one had would be booked for cash
  }

  async function finish() {
    if (busy) return;
    busy = true;
    try {
      await finishOnce();
    } finally {
      busy = false;
    }
  }

  async function finishOnce() {
    if (left() > 0n && amount.value.trim() && document.activeElement !== address) {
      if (!add()) {
        amount.focus();
        return;
      }
    }
    if (left() > 0n || (left() < 0n && -left() > cash())) {
      amount.focus();
      return;
    }
    const typed = cleaned(address.value);
    if (!look()) {
      find("loud").textContent = word("address");
      address.classList.add("is-invalid");
      address.focus();
      return;
    }
    const usual = !find("usual").hidden && find("usual-box").checked;
    const { customer, lines } = till.sale;
    const total = till.total();
    const change = -left();
    const sale = {
      client_id: till.sale.client_id,
      seller_token: till.data.user.token ?? "",
      session_id: till.session?.id ?? till.lastSession ?? null,
      partner_id: customer?.id ?? null,
      cashier_token: till.cashier?.token ?? "",
      format: find("format").value,
      address: typed,
      mail: usual,
      lines: lines.map((line) => ({
        product_id: line.product_id,
        description: line.description,
        quantity: line.quantity,
        unit_price: line.price,
        discount: line.discount || null,
        tax_name: line.tax_name,
        tax_rate: line.tax_rate,
      })),
      payments: payments.map((payment) => ({ ...payment, amount: write(payment.amount, places) })),
    };
    // Kept first: whatever happens from here on, the ticket is there.
    try {
      await till.store.add({ client_id: sale.client_id, at: Date.now(), total: money(total), sale });
    } catch (error) {
      if (error.name !== "ConstraintError") {
        find("left").textContent = word("storage");
        return;
      }
      // Finished in another tab, or just before this page was closed: it is there already.
      till.notice("sold", word("soldBefore"), "warning");
      dialog.close();
      till.newSale();
      return;
    }
    dialog.close();
    const words =
      change > 0n
        ? word("soldChange", { total: money(total), change: money(change) })
        : word("sold", { total: money(total) });
    const mail = [typed, ...(usual ? customer.usual : [])].filter(Boolean).join("; ");
    const mailing = word(till.state === "online" ? "mailing" : "mailingLater", { address: mail });
    till.newSale();
    last = { client_id: sale.client_id, words, links: [] };
    till.notice("sold", mail ? `${words} ${mailing}` : words, "success");
    // The next customer need not read it.
    if (mail)
      setTimeout(() => {
        if (find("notices").textContent.includes(mail))
          till.notice("sold", words, "success", ...(last?.links || []));
      }, SHOWN_MS);
    till.tickets.added();
    till.queue.kick();
  }

  function fill() {
    find("methods").replaceChildren(
      ...till.data.methods.map((one) => {
        const button = element("button", {
          type: "button",
          className: "btn btn-outline-primary",
          textContent: one.name,
        });
        button.dataset.method = one.id;
        button.addEventListener("click", () => choose(one));
        return button;
      }),
    );
  }
  find("add-payment").addEventListener("click", () => {
    add();
    amount.focus();
    amount.select();
  });
  amount.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (left() > 0n) {
      add();
      amount.select();
    }
    // Paid in full: the next Enter ends the sale, unless somebody tabs to the address first.
    if (left() <= 0n) find("finish").focus();
  });
  address.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      finish();
    }
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    finish();
  });
  dialog.addEventListener("close", () => {
    const taken = (till.sale.payments || []).length ? paid() : 0n;
    till.notice("paid", taken > 0n ? word("paid", { amount: money(taken) }) : "", "info");
    find("search").focus();
  });
  /** The server has the sale: its receipt can be printed, as long as nothing else is rung up. */
  function settled(ticket, answer) {
    const place = find("notices").querySelector("[data-notice=sold]");
    if (!answer.pdf || !place || last?.client_id !== ticket.client_id) return;
    last.links = [
      " ",
      element("a", {
        href: answer.pdf,
        target: "_blank",
        rel: "noopener",
        className: "alert-link",
        textContent: word("print"),
      }),
    ];
    place.append(...last.links);
  }

  fill();
  return { open, fill, settled };
}
