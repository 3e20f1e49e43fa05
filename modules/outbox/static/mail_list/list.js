// The list of the outbox: lines that change stay where they are, and keys for whoever prefers them.
(() => {
  "use strict";
  const list = document.querySelector("[data-mail-list]");
  const keys = document.getElementById("keys");
  const rows = () => [...(list?.querySelectorAll("tr[data-row]") || [])];
  const link = (row) => row.querySelector(".row-link");

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
  // Nobody looks: nothing is asked.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id === "live" && document.hidden) event.preventDefault();
  });

  const current = () =>
    rows().find((row) => row.contains(document.activeElement)) || list?.querySelector("tr[data-current]");
  function go(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.indexOf(current());
    const row =
      all[now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + step, 0), all.length - 1)];
    list.querySelector("tr[data-current]")?.removeAttribute("data-current");
    row.setAttribute("data-current", "");
    link(row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }
  function select() {
    const box = current()?.querySelector("[data-select-row]");
    if (box) {
      box.checked = !box.checked;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }
  function retry() {
    const button = list?.querySelector("[data-key=r]");
    if (!button) return;
    if (list.querySelector("[data-select-row]:checked")) button.click();
    else window.envoiToast(list.dataset.wordNone);
  }
  const actions = {
    j: () => go(1),
    k: () => go(-1),
    x: select,
    r: retry,
    "?": () => keys?.showModal(),
    "/": () => document.querySelector("input[type=search][name=q]")?.select(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open], .modal.show, .dropdown-menu.show")) return;
    const place = event.target;
    const typing = place.matches(
      "textarea, select, [contenteditable], trix-editor, input:not([type=checkbox])",
    );
    if (typing) return;
    let action = actions[event.key];
    // The arrows move the page, unless a mail has the focus.
    const inList = place.closest?.("tr[data-row]");
    if (inList && (event.key === "ArrowDown" || event.key === "ArrowUp"))
      action = () => go(event.key === "ArrowDown" ? 1 : -1);
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) keys.showModal();
  });

  // The button of the panel says in its address whether it is open, for a page that is loaded anew.
  document
    .getElementById("filters")
    ?.addEventListener("shown.bs.collapse", (event) => event.target.querySelector("a, button")?.focus());
})();
