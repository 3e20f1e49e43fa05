// Who sells: another cashier takes over with their PIN.
import { element, find } from "./page.js";

export function begin(till) {
  const dialog = find("cashier-dialog");
  const who = find("cashier-who");
  const pin = find("cashier-pin");
  const problem = find("cashier-problem");
  const show = () => {
    find("cashier-name").textContent = till.cashier?.name || till.data.user.name;
  };
  find("show-cashier").addEventListener("click", () => {
    const own = till.element("option", { value: till.data.user.id, textContent: till.data.user.name });
    who.replaceChildren(
      own,
      ...till.data.cashiers
        .filter((one) => one.id !== till.data.user.id)
        .map((one) => element("option", { value: one.id, textContent: one.name })),
    );
    problem.textContent = "";
    pin.value = "";
    dialog.showModal();
  });
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const back = Number(who.value) === till.data.user.id;
    if (!back || till.cashier) {
      const { status, data } = await till.queue.post(till.urls.cashier, {
        user_id: Number(who.value),
        pin: pin.value,
      });
      pin.value = "";
      if (status !== 200) {
        problem.textContent = data?.problem || till.word("pinOffline");
        pin.focus();
        return;
      }
      till.cashier = back ? null : { ...data, under: till.data.user.id };
      till.notice("cashier", data.notice || "");
    }
    await till.store.set("cashier", till.cashier);
    show();
    dialog.close();
    find("search").focus();
  });
  till.forgetCashier = () => {
    till.cashier = null;
    till.store.set("cashier", null);
    show();
  };
  show();
}
