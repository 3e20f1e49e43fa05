// A mail and its panels: what refreshes by itself leaves alone whoever is using it, and keeps open what was opened.
(() => {
  "use strict";
  const LATER_MS = 2000;

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
      setTimeout(() => window.htmx.trigger(root, "live"), LATER_MS);
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
})();
