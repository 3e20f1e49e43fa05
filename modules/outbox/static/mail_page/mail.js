// A mail and its panels: what refreshes by itself leaves alone whoever is using it, and keeps open what was opened.
(() => {
  "use strict";

  // True while somebody types inside, or has a menu of it open.
  function inUse(root) {
    if (root.querySelector(".dropdown-menu.show")) return true;
    const fields = [...root.querySelectorAll("input:not([type=hidden]), textarea, select")];
    return fields.some(
      (field) =>
        field === document.activeElement ||
        (field.type === "checkbox"
          ? field.checked !== field.defaultChecked
          : field.value !== field.defaultValue),
    );
  }

  let opened = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    const root = event.detail.target;
    if (!root.matches("#mail-view, #mail-panel") || !event.detail.elt.matches("[data-quiet]")) return;
    if (inUse(root)) {
      event.detail.shouldSwap = false;
      return;
    }
    opened = [...root.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) {
      const details = document.getElementById(id);
      if (details && !details.open) details.open = true;
    }
    opened = [];
  });

  // Copying a hash; where the browser does not let us, it is selected, ready for the keyboard.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      const word = document.createElement("span");
      word.setAttribute("role", "status");
      word.className = "small-print";
      word.textContent = button.dataset.copied;
      button.after(word);
      setTimeout(() => word.remove(), 2000);
    } catch {
      window.getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    }
  });
})();
