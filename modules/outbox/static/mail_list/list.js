// The list of the outbox: lines that change stay where they are, selected or not.
(() => {
  "use strict";
  const list = document.getElementById("mails");

  // A line that replaces itself keeps its selection, its frame and the focus.
  let former = null;
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const row = event.detail.target;
    if (!row.matches?.("tr[data-row]")) return;
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    former = {
      id: row.id,
      checked: row.querySelector("[data-select-row]")?.checked,
      current: row.hasAttribute("data-current"),
      box: focused?.matches("[data-select-row]"),
      href: focused?.getAttribute("href"),
    };
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    const row = former && document.getElementById(former.id);
    if (!row) return;
    const box = row.querySelector("[data-select-row]");
    if (box && former.checked) box.checked = true;
    if (former.current) row.setAttribute("data-current", "");
    const focus = former.box ? box : former.href && row.querySelector(`a[href="${CSS.escape(former.href)}"]`);
    focus?.focus({ preventScroll: true });
    former = null;
    window.envoiCountSelected(list);
  });
  // The button of the panel says in its address whether it is open, for a page that is loaded anew.
  document
    .getElementById("filters")
    ?.addEventListener("shown.bs.collapse", (event) => event.target.querySelector("a, button")?.focus());
})();
