// The customer of a sale: found by name, or of the server where the page does not have them.
import { findMore, PAUSE_MS } from "./more.js";
import { element, find, fold } from "./page.js";

export function begin(till) {
  const input = find("customer");
  const plain = (customer) => (customer.city ? `${customer.name} – ${customer.city}` : customer.name);
  const times = new Map();
  const label = (customer) =>
    times.get(plain(customer)) > 1 ? `${plain(customer)} (${customer.id})` : plain(customer);
  let timer;
  function fill() {
    times.clear();
    for (const customer of till.data.customers)
      times.set(plain(customer), (times.get(plain(customer)) || 0) + 1);
    document
      .getElementById("till-customers")
      .replaceChildren(
        ...till.data.customers.map((customer) => element("option", { value: label(customer) })),
      );
  }
  function wanted() {
    const text = fold(input.value.trim());
    if (!text) return null;
    const words = text.split(/\s+/);
    const { customers } = till.data;
    return (
      customers.find((one) => fold(label(one)) === text) ||
      customers.find((one) => fold(one.name).startsWith(text)) ||
      customers.find((one) => words.every((word) => fold(label(one)).includes(word)))
    );
  }
  async function lookFurther() {
    const text = input.value.trim();
    if (till.data.more_customers && text.length > 1 && (await findMore(till, "customers", text))) fill();
  }
  fill();
  if (till.sale.customer) input.value = label(till.sale.customer);
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(lookFurther, PAUSE_MS);
  });
  input.addEventListener("change", async () => {
    const { sale } = till;
    let found = wanted();
    if (!found && input.value.trim()) {
      await lookFurther();
      found = wanted();
    }
    if (sale !== till.sale) return; // the next customer is there already
    till.notice(
      "noCustomer",
      !found && input.value.trim() ? till.word("noCustomer", { name: input.value.trim() }) : "",
    );
    till.sale.customer = found || null;
    input.value = found ? label(found) : "";
    till.save();
  });
  return { fill };
}
