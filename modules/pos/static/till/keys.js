// The keys of the till, and a scanner, which is a keyboard too.
import { find, root } from "./page.js";

export function begin(till) {
  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target.closest("[data-close]")) dialog.close();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "F9" && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      till.payment.open();
    }
    if (event.key === "F2") {
      event.preventDefault();
      find("search").focus();
    }
    // A scanner types wherever the focus is – on a tile, a button, nowhere: it is meant for the search.
    const types =
      event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (
      types &&
      !event.target.closest("input, textarea, select, dialog") &&
      !document.querySelector("dialog[open], .dropdown-menu.show")
    ) {
      find("search").value = "";
      find("search").focus();
    }
  });
}
