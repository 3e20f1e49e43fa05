// The page of a variable: a field that is chosen goes into the formula, where the caret is.
import { begin } from "./field_list.js";

const formula = document.getElementById("formula");
begin({
  panel: document.getElementById("fields-panel"),
  list: document.getElementById("field-list"),
  search: document.getElementById("field-search"),
  insert(choice) {
    formula.focus();
    formula.setRangeText(choice.dataset.field, formula.selectionStart, formula.selectionEnd, "end");
    formula.dispatchEvent(new Event("input", { bubbles: true }));
  },
  close: () => formula.focus(),
});
