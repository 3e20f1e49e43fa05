// The products beside the sale: searched, scanned, chosen by category, touched.
import { findMore, PAUSE_MS } from "./more.js";
import { readTyped } from "./numbers.js";
import { element, find, fold, marks } from "./page.js";

const TILES = 60;
const ONE = 1000n; // thousandths

/** What is looked for, and how many thousandths of it: "3*CODE" is three, whether typed, scanned or touched. */
function counted(text) {
  const found = /^\s*([^*×]+)[*×](.*)$/.exec(text);
  const many = found ? readTyped(found[1], 3, marks) : null;
  // A name may have a star of its own.
  return many === null ? { many: ONE, words: text.trim() } : { many, words: found[2].trim() };
}

export function begin(till) {
  const search = find("search");
  const place = find("tiles");
  let chosen = null;
  let timer;

  function matching() {
    const words = fold(counted(search.value).words).split(/\s+/).filter(Boolean);
    return till.data.products.filter(
      (product) =>
        (words.length || chosen === null || product.category === chosen) &&
        words.every((one) => product.folded.includes(one)),
    );
  }
  function exactly(typed) {
    return (
      till.data.products.find((one) => one.barcode && one.barcode === typed) ||
      till.data.products.find((one) => one.code && one.code.toLowerCase() === typed.toLowerCase())
    );
  }
  function show() {
    till.shown = matching();
    place.replaceChildren(
      ...till.shown.slice(0, TILES).map((product) => {
        const button = element(
          "button",
          { type: "button", className: "tile" },
          element("span", { className: "tile-name", textContent: product.name }),
          element("span", { className: "tile-price", textContent: till.money(till.price(product)) }),
        );
        // A scanner types where the focus is: back to the field, but for fingers, whose keyboard would come up.
        button.addEventListener("click", () => {
          const { many, words } = counted(search.value);
          till.ring(product, many);
          if (words !== search.value.trim()) {
            search.value = "";
            show();
          }
          if (window.matchMedia("(pointer: fine)").matches) search.focus();
        });
        return element("li", {}, button);
      }),
    );
    if (!till.shown.length)
      place.replaceChildren(element("li", { className: "muted", textContent: till.word("nothing") }));
  }
  function choose(key) {
    chosen = key;
    for (const button of find("categories").children)
      button.setAttribute("aria-pressed", String(button.category === key));
  }
  function fill() {
    for (const product of till.data.products) product.folded = fold(`${product.name} ${product.code}`);
    const categories = [...new Set(till.data.products.map((product) => product.category))]
      .filter(Boolean)
      .sort((a, b) => a.localeCompare(b, till.language));
    const buttons = [
      [null, till.word("all")],
      ...categories.map((name) => [name, name]),
      ...(categories.length && till.data.products.some((product) => !product.category)
        ? [["", till.word("other")]]
        : []),
    ];
    find("categories").replaceChildren(
      ...(buttons.length > 1 ? buttons : []).map(([key, title]) => {
        const button = element("button", {
          type: "button",
          className: "btn btn-sm btn-outline-secondary",
          textContent: title,
        });
        button.category = key;
        button.addEventListener("click", () => {
          search.value = "";
          choose(key);
          show();
        });
        return button;
      }),
    );
    choose(buttons.some(([key]) => key === chosen) ? chosen : null);
    show();
  }
  async function lookFurther(text) {
    if (!till.data.more_products || text.length < 2 || !(await findMore(till, "products", text)))
      return false;
    for (const product of till.data.products) product.folded ??= fold(`${product.name} ${product.code}`);
    if (counted(search.value).words === text) show();
    return true;
  }
  search.addEventListener("input", () => {
    show();
    clearTimeout(timer);
    timer = setTimeout(() => lookFurther(counted(search.value).words), PAUSE_MS);
  });
  search.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const typed = search.value.trim();
    if (!typed) {
      till.payment.open();
      return;
    }
    const { many, words } = counted(typed);
    if (!words) return; // "3*", and the scan is still to come
    let product = exactly(words) || matching()[0];
    if (!product) {
      search.select(); // the next scan is one of its own
      await lookFurther(words);
      product = exactly(words) || (search.value.trim() === typed ? till.shown[0] : null);
    }
    till.notice("unknown", product ? "" : till.word("unknown", { code: words }));
    if (!product) return;
    till.ring(product, many);
    if (search.value.trim() === typed) search.value = "";
    show();
  });
  till.showProducts = show;
  till.exactly = exactly;
  fill();
  return { fill };
}
