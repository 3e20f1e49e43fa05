// The payment screen: several payments, change, the receipt by mail; one key, and the next customer.
import { cleaned, completions, couldBe, meant } from "./address.js";
import { readTyped } from "./numbers.js";
import { marks } from "./page.js";

const MAIL_SHOWN_MS = 8000;
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

  /** What was taken already stays taken, whoever leaves this screen or loads the page again. */
  function keep() {
    till.sale.payments = payments.map((payment) => ({ ...payment, amount: write(payment.amount, places) }));
    till.save();
  }

  const paid = () => payments.reduce((sum, payment) => sum + payment.amount, 0n);
  const left = () => till.total() - paid();
  const cash = () =>
    payments.filter((payment) => payment.kind === "cash").reduce((sum, payment) => sum + payment.amount, 0n);

  /** What stands in the amount, to be taken when the sale is finished: null when it makes no sense. */
  function standing() {
    const value = left() > 0n ? readTyped(amount.value, places, marks) : 0n;
    return value !== null && (value > 0n || left() <= 0n) ? value : null;
  }
  /** Whether what was taken, and what stands in the amount, ends the sale: exact cash needs no *Add*. */
  function covered() {
    const value = standing();
    if (value === null) return false;
    const rest = left() - value;
    return rest <= 0n && -rest <= cash() + (method?.kind === "cash" ? value : 0n);
  }

  function choose(chosen) {
    method = chosen;
    for (const button of find("methods").children)
      button.setAttribute("aria-pressed", String(button.dataset.method === String(chosen.id)));
    find("quick").hidden = chosen.kind !== "cash";
    foresee();
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
    amount.value = rest > 0n ? till.typed(write(rest, places)) : "";
    foresee();
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

  /** Say what is still to be paid, or given back, with what stands in the amount where that is more than is owed. */
  function foresee() {
    const rest = left();
    const more = rest > 0n && covered() ? standing() - rest : 0n;
    const words =
      more > 0n
        ? word("change", { amount: money(more) })
        : rest > 0n
          ? word("below", { amount: money(rest) })
          : rest === 0n
            ? word("exact")
            : -rest > cash()
              ? word("tooMuch")
              : word("change", { amount: money(-rest) });
    const place = find("left");
    place.textContent = words;
    const ready = more > 0n || (rest <= 0n && -rest <= cash());
    place.className = `payment-left ${ready ? "payment-ready" : "text-danger"}`;
    find("finish").disabled = !covered();
    wrong(false);
  }
  function wrong(is) {
    amount.classList.toggle("is-invalid", is);
    amount.setAttribute("aria-invalid", String(is));
  }

  /** Take what stands in the amount as a payment; false when it makes no sense, which is said. */
  function add() {
    const value = readTyped(amount.value, places, marks);
    if (value === null || value <= 0n || payments.length >= PAYMENTS) {
      wrong(true);
      find("left").textContent =
        payments.length >= PAYMENTS
          ? word("payments", { count: PAYMENTS })
          : word(places ? "badAmount" : "badWholeAmount", { places });
      return false;
    }
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
    const mail = [typed, ...(usual ? customer.usual : [])].filter(Boolean).join("; ");
    const mailing = word(till.state === "online" ? "mailing" : "mailingLater", { address: mail });
    till.newSale();
    till.sale.before = {
      client_id: sale.client_id,
      total: money(total),
      change: change > 0n ? money(change) : "",
    };
    till.save();
    tellSold(mail ? mailing : "");
    // The next customer need not read it.
    if (mail)
      setTimeout(() => {
        if (find("notices").textContent.includes(mail)) tellSold();
      }, MAIL_SHOWN_MS);
    till.tickets.added();
    till.queue.kick();
  }

  /** What was sold last, and what is given back, large: told until something else is rung up, over a reload too. */
  function tellSold(mailing = "") {
    const { before } = till.sale;
    if (!before) return;
    const [words, after] = word(before.change ? "soldChange" : "sold", { total: before.total }).split(
      "{change}",
    );
    till.notice(
      "sold",
      words,
      "success",
      ...(before.change
        ? [element("strong", { className: "till-change", textContent: before.change }), after]
        : []),
      ...(mailing ? [` ${mailing}`] : []),
      ...(before.pdf
        ? [
            " ",
            element("a", {
              href: before.pdf,
              target: "_blank",
              rel: "noopener",
              className: "alert-link",
              textContent: word("print"),
            }),
          ]
        : []),
    );
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
  amount.addEventListener("input", foresee);
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
    const { before } = till.sale;
    if (!answer.pdf || !before || before.client_id !== ticket.client_id) return;
    const shown = find("notices").querySelector("[data-notice=sold]");
    before.pdf = answer.pdf;
    till.save();
    const mailing = ticket.sale.address && shown?.textContent.includes(ticket.sale.address);
    tellSold(mailing ? word("mailing", { address: ticket.sale.address }) : "");
  }

  fill();
  tellSold();
  return { open, fill, settled };
}
