// Two panes between which rows are moved: SHIFT ticks a range, a double click moves a row, Alt+R begins anew. Without
// this script the panes are a plain form of check boxes and buttons.
(() => {
  "use strict";
  const boxesOf = (pane) => [...pane.querySelectorAll('input[name="id"]')];
  const MOVES = { found: "pick", selected: "drop" };
  let last = null; // where a range begins

  function showAll(pane) {
    const all = pane.querySelector("[data-pane-all]");
    const boxes = boxesOf(pane);
    const ticked = boxes.filter((box) => box.checked).length;
    if (!all) return;
    all.checked = ticked > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  }

  document.addEventListener("click", (event) => {
    const pane = event.target.closest("[data-pane]");
    if (!pane) return;
    if (event.target.matches("[data-pane-all]")) {
      for (const box of boxesOf(pane)) box.checked = event.target.checked;
      showAll(pane);
    }
    if (!event.target.matches('input[name="id"]')) return;
    const boxes = boxesOf(pane);
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(event.target)];
    if (event.shiftKey && from >= 0) {
      for (const box of boxes.slice(Math.min(from, to), Math.max(from, to) + 1))
        box.checked = event.target.checked;
    }
    last = event.target;
    showAll(pane);
  });

  // SHIFT with a click selects text as well.
  document.addEventListener("mousedown", (event) => {
    if (event.shiftKey && event.target.closest("[data-pane] label")) event.preventDefault();
  });

  document.addEventListener("dblclick", (event) => {
    const box = event.target.closest("[data-pane] li")?.querySelector('input[name="id"]');
    const pane = box?.closest("[data-pane]");
    if (!pane) return;
    for (const other of boxesOf(pane)) other.checked = other === box;
    document.getElementById(`move-${MOVES[pane.dataset.pane]}`).click();
  });

  document.addEventListener("keydown", (event) => {
    const box = event.target.matches?.('[data-pane] input[name="id"]') ? event.target : null;
    if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === "KeyR") {
      event.preventDefault();
      document.querySelector("[data-reset] button")?.click();
    } else if (box && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      const boxes = boxesOf(box.closest("[data-pane]"));
      const next = boxes[boxes.indexOf(box) + (event.key === "ArrowDown" ? 1 : -1)];
      event.preventDefault();
      if (!next) return;
      if (event.shiftKey) next.checked = box.checked;
      next.focus();
    } else if (box && event.key === "Enter") {
      event.preventDefault();
      if (!box.checked) box.checked = true;
      document.getElementById(`move-${MOVES[box.closest("[data-pane]").dataset.pane]}`).click();
    }
  });
})();
