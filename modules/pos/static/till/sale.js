// The sale that is being rung up: its lines, its total, and how it survives a reload.
import { read, write } from "./money.js";
import { readTyped } from "./numbers.js";
import { element, find, icon, marks, numbers, root } from "./page.js";

const LINES = 500;
export const MOST = 99999000n; // thousandths: more of one thing is a slip
const ONE = 1000n;

/** A sale has its name from the first: it can be finished once, in whatever tab, however often a key is pressed. */
export const emptySale = () => ({ client_id: crypto.randomUUID(), lines: [], customer: null });

/** The sale that is being rung up survives a reload in its own tab; and closing the tab, in the one that opens next. */
export async function keepSale(till) {
  const name = `envoi-till-sale-${till.urls.register}`;
  // The first tab keeps it for whoever comes after it is closed: two tabs must not ring up one sale.
  const first = await new Promise((known) => {
    navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      known(Boolean(lock));
      return lock ? new Promise(() => {}) : null;
    });
  });
  let keeper = first;
  if (!first)
    navigator.locks.request(name, () => {
      keeper = true;
      till.save();
      return new Promise(() => {});
    });
  const kept = window.sessionStorage.getItem(name) || (first ? window.localStorage.getItem(name) : null);
  try {
    till.sale = { ...till.sale, ...JSON.parse(kept) };
    // What somebody was given back is told in the tab that gave it, not the next morning.
    if (!window.sessionStorage.getItem(name)) delete till.sale.before;
  } catch {
    /* begun anew */
  }
  till.save = () => {
    const text = JSON.stringify(till.sale);
    window.sessionStorage.setItem(name, text);
    if (keeper) window.localStorage.setItem(name, text);
  };
}

export function begin(till) {
  const place = find("lines");

  /** Ring up a product, `many` thousandths of it. */
  till.ring = (product, many = ONE) => {
    const same = till.sale.lines.find(
      (line) => line.product_id === product.id && line.price === product.price && !Number(line.discount || 0),
    );
    if (!same && till.sale.lines.length >= LINES) {
      till.notice("lines", till.word("lines", { count: LINES }));
      return;
    }
    const quantity = (same ? read(same.quantity, 3) : 0n) + many;
    if (quantity <= 0n || quantity > MOST) {
      till.notice("number", till.badQuantity());
      return;
    }
    if (same) same.quantity = write(quantity, 3);
    else
      till.sale.lines.push({
        product_id: product.id,
        description: product.name,
        quantity: write(many, 3),
        price: product.price,
        discount: "",
        tax_name: product.tax_name,
        tax_rate: product.tax_rate,
      });
    delete till.sale.before;
    till.save();
    for (const said of ["unknown", "sold", "noCustomer", "number"]) till.notice(said, "");
    show();
    place.lastElementChild?.scrollIntoView({ block: "nearest" });
  };
  till.newSale = () => {
    till.sale = emptySale();
    till.save();
    for (const said of ["paid", "number", "removed"]) till.notice(said, "");
    show();
    find("customer").value = "";
    find("search").value = "";
    till.showProducts();
    find("search").focus();
  };

  // As somebody here would type it.
  const typed = (text) => text.replace(".", marks.decimal);
  till.typed = typed;
  const plain = (text) => {
    const [whole, rest = ""] = text.split(".");
    const kept = rest.replace(/0+$/, "");
    return kept ? `${whole}.${kept}` : whole;
  };

  const most = new Intl.NumberFormat(numbers).format(Number(MOST / ONE));
  till.badQuantity = () => till.word("badQuantity", { most });

  /** Take a line away; who did not mean it brings it back with its quantity and price. */
  function remove(line) {
    const { lines } = till.sale;
    const at = lines.indexOf(line);
    lines.splice(at, 1);
    const undo = element("button", {
      type: "button",
      className: "btn btn-sm btn-outline-secondary",
      textContent: till.word("undo"),
    });
    undo.addEventListener("click", () => {
      if (lines !== till.sale.lines) return;
      lines.splice(Math.min(at, lines.length), 0, line);
      till.notice("removed", "");
      till.save();
      show();
      find("search").focus();
    });
    till.notice("removed", till.word("removed", { name: line.description }), "info", " ", undo);
  }

  function field(line, name, label, places, check, range) {
    const input = element("input", {
      className: "form-control form-control-sm number",
      value: typed(plain(line[name] || "")),
      inputMode: "decimal",
      autocomplete: "off",
      ariaLabel: `${label} – ${line.description}`,
    });
    // What is typed or scanned replaces what stands there.
    for (const arrives of ["focus", "click"]) input.addEventListener(arrives, () => input.select());
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        input.blur();
        if (!root.querySelector(".till-line .is-invalid")) find("search").focus();
      }
    });
    input.addEventListener("change", () => {
      const scanned = till.exactly(input.value.trim());
      if (scanned && scanned.barcode === input.value.trim()) {
        till.ring(scanned);
        return;
      }
      const value = input.value.trim() ? readTyped(input.value, places, marks) : 0n;
      const wrong = value === null || !check(value);
      input.classList.toggle("is-invalid", wrong);
      input.setAttribute("aria-invalid", String(wrong));
      if (wrong) {
        till.notice("number", range());
        return;
      }
      till.notice("number", "");
      if (name === "quantity" && value === 0n) remove(line);
      else line[name] = value === 0n ? "" : write(value, places);
      till.save();
      show();
    });
    return input;
  }
  function button(line, label, name, act) {
    const made = element(
      "button",
      {
        type: "button",
        className: "btn btn-sm btn-outline-secondary",
        title: label,
        ariaLabel: `${label} – ${line.description}`,
      },
      icon(name),
    );
    made.addEventListener("click", () => {
      const at = till.sale.lines.indexOf(line);
      act();
      till.save();
      show();
      place.children[Math.min(at, place.children.length - 1)]?.querySelector(`[title="${label}"]`)?.focus();
    });
    return made;
  }
  function show() {
    place.replaceChildren(
      ...till.sale.lines.map((line) =>
        element(
          "li",
          { className: "till-line" },
          element(
            "div",
            { className: "till-line-name" },
            element("span", { textContent: line.description }),
            element("output", { textContent: till.money(till.lineTotal(line)) }),
          ),
          element(
            "div",
            { className: "till-line-tools" },
            button(line, till.word("less"), "dash", () => {
              const left = read(line.quantity, 3) - ONE;
              if (left > 0n) line.quantity = write(left, 3);
              else remove(line);
            }),
            field(
              line,
              "quantity",
              till.word("quantity"),
              3,
              (value) => value >= 0n && value <= MOST,
              till.badQuantity,
            ),
            button(line, till.word("more"), "plus", () => {
              const more = read(line.quantity, 3) + ONE;
              if (more <= MOST) line.quantity = write(more, 3);
              else till.notice("number", till.badQuantity());
            }),
            element("span", {
              className: "till-times",
              textContent: `× ${till.money(read(line.price, till.data.currency.places))}`,
            }),
            element(
              "label",
              { className: "till-discount" },
              "−",
              field(
                line,
                "discount",
                till.word("discount"),
                2,
                (value) => value >= 0n && value <= 10000n,
                () => till.word("badDiscount"),
              ),
              "%",
            ),
            button(line, till.word("remove"), "x-lg", () => remove(line)),
          ),
        ),
      ),
    );
    if (!till.sale.lines.length)
      place.replaceChildren(
        element("li", { className: "till-empty muted", textContent: till.word("empty") }),
      );
    find("total").textContent = till.money(till.total());
    find("pay").disabled = !till.sale.lines.length;
    find("clear").disabled = !till.sale.lines.length;
  }
  find("clear").addEventListener("click", () => {
    if (window.confirm(till.word("clear"))) till.newSale();
  });
  find("pay").addEventListener("click", () => till.payment.open());
  till.wrongField = () => root.querySelector(".till-line .is-invalid");
  till.showSale = show;
  show();
}
