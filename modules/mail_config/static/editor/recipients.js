// The default recipients of a template, a line each.

export function begin({ form, tell, changed }) {
  const rules = document.getElementById("recipient-rules");
  if (!rules) return; // a template that is about no document
  function fit(row) {
    const chosen = row.querySelector("[name=recipient_rule]");
    const takes = chosen.selectedOptions[0].dataset.takes;
    const input = row.querySelector("[name=recipient_value]");
    row.querySelector(".recipient-value").hidden = !takes;
    input.placeholder = takes ? input.dataset[takes] : "";
    input.setAttribute("aria-label", takes ? input.dataset[takes] : "");
    if (takes === "function") input.setAttribute("list", "functions");
    else input.removeAttribute("list");
  }
  rules.querySelectorAll("li").forEach(fit);
  rules.addEventListener("change", (event) => {
    if (!event.target.matches("[name=recipient_rule]")) return;
    const row = event.target.closest("li");
    fit(row);
    const input = row.querySelector("[name=recipient_value]");
    input.value = "";
  });
  form.querySelector("[data-add-recipient]").addEventListener("click", () => {
    const row = document.getElementById("new-recipient").content.firstElementChild.cloneNode(true);
    rules.append(row);
    fit(row);
    row.querySelector("[name=recipient_rule]").focus();
    tell("added");
    changed();
  });
  rules.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove-recipient]")) return;
    const row = event.target.closest("li");
    const next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    (next?.querySelector("[data-remove-recipient]") || form.querySelector("[data-add-recipient]")).focus();
    tell("removed");
    changed();
  });
}
