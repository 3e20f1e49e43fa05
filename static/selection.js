// Selecting rows of a list: one, a range with SHIFT, all of the page, all that match; by mouse and by keys. What is
// selected on one page stays selected on the next. Without this script the check boxes and buttons are a plain form.
(() => {
  "use strict";
  const MOST = 5000; // rows chosen one by one, as the server takes them
  const boxesOf = (list) => [...list.querySelectorAll("input[data-select-row]")];
  const rowsOf = (list) => [...list.querySelectorAll("tr[data-row]")];
  const link = (row) => row.querySelector(".row-link");

  // The selection of a list as it is narrowed and sorted, kept while the tab is open: rows of other pages are in it.
  const place = (list) => list.dataset.selectable && `selection:${list.dataset.selectable}`;
  function kept(list) {
    try {
      return new Set(JSON.parse(sessionStorage.getItem(place(list))) || []);
    } catch {
      return new Set();
    }
  }
  function keep(list, ids) {
    try {
      if (ids.size) sessionStorage.setItem(place(list), JSON.stringify([...ids]));
      else sessionStorage.removeItem(place(list));
    } catch {
      // A browser that keeps nothing: then the selection is that of the page.
    }
  }
  function chosen(list) {
    const ids = place(list) ? kept(list) : new Set();
    for (const box of boxesOf(list)) {
      if (box.checked) ids.add(box.value);
      else ids.delete(box.value);
    }
    return ids;
  }
  function elsewhere(list, ids) {
    const here = new Set(boxesOf(list).map((box) => box.value));
    return [...ids].filter((id) => !here.has(id));
  }
  function showElsewhere(list, others) {
    list.querySelectorAll("input[data-elsewhere]").forEach((input) => {
      input.remove();
    });
    for (const value of others.slice(0, MOST)) {
      const input = Object.assign(document.createElement("input"), { type: "hidden", name: "id", value });
      input.dataset.elsewhere = "";
      list.append(input);
    }
  }

  function count(list) {
    const boxes = boxesOf(list);
    const here = boxes.filter((box) => box.checked).length;
    const ids = chosen(list);
    const others = elsewhere(list, ids);
    const whole = here > 0 && here === boxes.length;
    if (place(list)) keep(list, ids);
    showElsewhere(list, others);
    list.toggleAttribute("data-chosen", ids.size > 0);
    const bar = list.querySelector("[data-selection-bar]");
    if (bar && !list.querySelector("input[data-everything]")) {
      const words = bar.querySelector("[data-selection-words]");
      const { wordOne, wordMany, wordElsewhere } = list.dataset;
      const number = (value) => value.toLocaleString(document.documentElement.dataset.numbers);
      const selected = ids.size === 1 ? wordOne : wordMany?.replace("{count}", number(ids.size));
      const more = others.length ? ` (${wordElsewhere?.replace("{count}", number(others.length))})` : "";
      if (words) words.textContent = ids.size ? `${selected}${more}` : "";
      const matching = bar.querySelector("[data-matching]");
      if (matching) {
        matching.hidden = !whole;
        if (whole) window.htmx.trigger(matching, "wanted");
      }
    }
    const clear = bar?.querySelector("[data-select-none]");
    if (clear) clear.hidden = !ids.size;
    const all = list.querySelector("input[data-select-all]");
    if (all) {
      all.checked = whole;
      all.indeterminate = here > 0 && !whole;
    }
  }
  window.envoiCountSelected = count;

  function forgetEverything(list) {
    list.querySelector("input[data-everything]")?.remove();
  }
  function clear(list) {
    forgetEverything(list);
    for (const box of boxesOf(list)) box.checked = false;
    if (place(list)) keep(list, new Set());
    count(list);
  }
  // All that match are more than the page holds: the server is told what they match, not which they are.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-select-matching]");
    if (!button) return;
    const list = button.closest("[data-selectable]");
    const everything = { type: "hidden", name: "all", value: "1" };
    const input = Object.assign(document.createElement("input"), everything);
    input.dataset.everything = "";
    list.append(input);
    list.querySelector("[data-selection-words]").textContent = button.dataset.selected;
    button.closest("[data-matching]").hidden = true;
    list.querySelector("[data-selection-bar] button:not([data-select-none])").focus();
  });

  let anchor = null; // from where SHIFT selects
  function range(list, box) {
    const boxes = boxesOf(list);
    const from = boxes.indexOf(anchor);
    const to = boxes.indexOf(box);
    if (from < 0 || to < 0) return;
    for (const one of boxes.slice(Math.min(from, to), Math.max(from, to) + 1)) one.checked = box.checked;
  }
  document.addEventListener("click", (event) => {
    const list = event.target.closest("[data-selectable]");
    if (!list) return;
    if (event.target.matches("[data-select-none]")) {
      clear(list);
      list.querySelector("[data-select-all]")?.focus();
    } else if (event.target.matches("[data-select-row]")) {
      if (event.shiftKey) range(list, event.target);
      anchor = event.target;
    } else if (event.shiftKey && event.target.closest("td.select-cell")) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    const list = event.target.closest("[data-selectable]");
    if (!list || !event.target.matches("[data-select-all], [data-select-row]")) return;
    if (event.target.matches("[data-select-all]")) {
      for (const box of boxesOf(list)) box.checked = event.target.checked;
    }
    forgetEverything(list);
    count(list);
  });
  // What is done is done: afterwards nothing is selected, but where a file was taken or a page only asked for.
  document.addEventListener("submit", (event) => {
    const list = event.target.closest("[data-selectable]");
    if (!list || event.defaultPrevented || !place(list)) return;
    if (event.submitter?.hasAttribute("data-keeps-selection")) setTimeout(() => delete list.dataset.sent);
    else keep(list, new Set());
  });

  // Keys. A row with the focus has a frame; the arrows move the page, unless a row has the focus.
  const listHere = () => document.querySelector("[data-selectable]:has(tr[data-row])");
  const current = (list) =>
    rowsOf(list).find((row) => row.contains(document.activeElement)) ||
    list.querySelector("tr[data-current]");
  function go(list, step) {
    const all = rowsOf(list);
    if (!all.length) return null;
    const now = all.indexOf(current(list));
    const first = step > 0 ? 0 : all.length - 1;
    const row = all[now < 0 ? first : Math.min(Math.max(now + step, 0), all.length - 1)];
    list.querySelector("tr[data-current]")?.removeAttribute("data-current");
    row.setAttribute("data-current", "");
    (link(row) || row.querySelector("[data-select-row]"))?.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    return row;
  }
  function toggle(row, value) {
    const box = row?.querySelector("[data-select-row]");
    if (!box) return;
    box.checked = value ?? !box.checked;
    anchor = box;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  }
  function extend(list, step) {
    toggle(current(list), true);
    toggle(go(list, step), true);
  }
  function press(list, key) {
    const button = list.querySelector(`[data-selection-bar] [data-key="${key}"]`);
    if (!button) return;
    if (chosen(list).size) button.click();
    else window.envoiToast(list.dataset.wordNone);
  }
  function actionOf(event, list) {
    const inRow = event.target.closest?.("tr[data-row]");
    const onBox = event.target.matches("input[type=checkbox]");
    const onButton = event.target.matches("button, summary");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && event.shiftKey && current(list)) return () => extend(list, step);
    if (step && inRow) return () => go(list, step);
    // The space of a check box or a button is its own.
    if (event.key === " ") return inRow && !onBox && !onButton ? () => toggle(inRow) : null;
    if (event.key === "Escape") return chosen(list).size ? () => clear(list) : null;
    const plain = {
      j: () => go(list, 1),
      k: () => go(list, -1),
      x: () => toggle(current(list)),
      "?": () => document.getElementById("keys")?.showModal(),
      "/": () => document.querySelector("input[type=search][name=q]")?.select(),
    };
    if (plain[event.key]) return plain[event.key];
    return /^[a-z]$/.test(event.key) && list.querySelector(`[data-selection-bar] [data-key="${event.key}"]`)
      ? () => press(list, event.key)
      : null;
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector("dialog[open], .modal.show, .dropdown-menu.show")) return;
    if (event.target.matches("textarea, select, [contenteditable], trix-editor, input:not([type=checkbox])"))
      return;
    const list = listHere();
    const action = list && actionOf(event, list);
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) document.getElementById("keys").showModal();
  });

  function begin() {
    document.querySelectorAll("[data-selectable]").forEach((list) => {
      if (place(list)) {
        const ids = kept(list);
        for (const box of boxesOf(list)) if (ids.has(box.value)) box.checked = true;
      }
      count(list);
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
  // Back from another page, the browser shows the page as it was.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) begin();
  });
})();
