// The lines of a sales document. All arithmetic happens on the server; this moves rows and asks for totals.
(() => {
  "use strict";
  const form = document.getElementById("editor");
  if (!form) return;
  const list = document.getElementById("lines");
  const news = document.getElementById("line-news");
  const tell = (what) => {
    news.textContent = "";
    news.textContent = news.dataset[what];
  };
  const restore = form.querySelector("[data-line-restore]");
  const removed = [];
  const rows = () => [...list.querySelectorAll("[data-line]")];
  const changed = () => window.htmx.trigger("#totals", "lines-changed");

  // Products say what they fill in in the language that the document has at that moment.
  function products() {
    const url = new URL(form.dataset.products, window.location.href);
    for (const name of ["language", "partner_id", "tax_rule_id"])
      url.searchParams.set(name, form.elements[name]?.value || "");
    return url;
  }

  // A choice with search, made when it is first needed: five hundred of them at once would be slow.
  function offerProducts(select) {
    if (select.tomselect) return select.tomselect;
    const row = select.closest("[data-line]");
    const choice = window.envoiSearchServer(select, products, {
      valueField: "id",
      labelField: "label",
      maxOptions: 50,
      allowEmptyOption: true,
      refreshThrottle: 0,
      render: {
        option(product, safe) {
          return `<div>${safe(product.label || product.text || "")}<span class="choice-price">${safe(product.price || "")}</span></div>`;
        },
      },
      onChange(value) {
        fill(row, choice.options[value]);
      },
    });
    // The product may come when somebody has typed on already: that stays.
    choice.wrapper.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Enter") for (const place of filled(row)) place.atEnter = place.value;
      },
      true,
    );
    choice.control_input.addEventListener("input", () => {
      for (const place of filled(row)) delete place.atEnter;
    });
    // The field beside it speaks for it now.
    select.setAttribute("aria-hidden", "true");
    return choice;
  }

  const filled = (row) =>
    ["description", "unit", "unit_price", "tax_id"].map((name) => row.querySelector(`[name="line.${name}"]`));
  function fill(row, product) {
    if (product && product.unit_price !== undefined) {
      for (const place of filled(row)) {
        if (place.atEnter === undefined || place.atEnter === place.value)
          place.value = product[place.name.replace("line.", "")];
        delete place.atEnter;
      }
      grow(row.querySelector("textarea"));
    }
    changed();
  }

  function grow(area) {
    area.rows = Math.min(6, Math.max(1, area.value.split("\n").length));
  }

  function add(after) {
    const row = document.getElementById("new-line").content.firstElementChild.cloneNode(true);
    if (after) after.after(row);
    else list.append(row);
    tell("added");
    changed();
    return row;
  }

  function focusProduct(row) {
    const choice = offerProducts(row.querySelector("[data-product]"));
    choice.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function move(row, up) {
    const other = up ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement;
    if (up) other.before(row);
    else other.after(row);
    focused?.focus();
    tell("moved");
    changed();
  }

  list.addEventListener("focusin", (event) => {
    const select = event.target.closest("select[data-product]");
    // Not at once: the browser is still busy moving the focus to the select that this replaces.
    if (select && !select.tomselect) setTimeout(() => offerProducts(select).focus());
  });
  // A press of the mouse would open the browser's own list before the one with search is there.
  list.addEventListener("mousedown", (event) => {
    const select = event.target.closest("select[data-product]");
    if (select && !select.tomselect) {
      event.preventDefault();
      offerProducts(select).focus();
    }
  });
  list.addEventListener("input", (event) => {
    if (event.target.matches("textarea")) grow(event.target);
    changed();
  });
  list.addEventListener("change", changed);

  list.addEventListener("click", (event) => {
    const row = event.target.closest("[data-line]");
    if (!row) return;
    if (event.target.closest("[data-line-up]")) move(row, true);
    else if (event.target.closest("[data-line-down]")) move(row, false);
    else if (event.target.closest("[data-line-remove]")) {
      const next = row.nextElementSibling || row.previousElementSibling || add(row);
      removed.push({ row, place: rows().indexOf(row) });
      row.remove();
      restore.hidden = false;
      next.querySelector("[data-line-remove]").focus();
      tell("removed");
      changed();
    }
  });

  // What was removed comes back where it was, the last one first, until the form is left.
  restore.addEventListener("click", () => {
    const { row, place } = removed.pop();
    const next = rows()[place];
    if (next) next.before(row);
    else list.append(row);
    restore.hidden = !removed.length;
    row.querySelector("textarea").focus();
    tell("restored");
    changed();
  });
  form.querySelector("[data-line-add]").addEventListener("click", () => focusProduct(add(null)));

  list.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-line]");
    if (!row) return;
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      move(row, event.key === "ArrowUp");
    } else if (event.key === "Enter" && event.target.matches("input[name]")) {
      event.preventDefault(); // the form is saved by its button, not by accident
      const next = row.nextElementSibling;
      if (next) next.querySelector(`[name="${event.target.name}"]`).focus();
      else focusProduct(add(row));
    }
  });

  let dragged = null;
  list.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-line]");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setDragImage(dragged, 0, 0);
  });
  list.addEventListener("dragover", (event) => {
    const row = event.target.closest("[data-line]");
    if (!dragged || !row || row === dragged) return;
    event.preventDefault();
    const box = row.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) row.before(dragged);
    else row.after(dragged);
  });
  list.addEventListener("drop", (event) => event.preventDefault());
  list.addEventListener("dragend", () => {
    if (dragged) {
      dragged = null;
      tell("moved");
      changed();
    }
  });

  // The server has counted: each line gets its amount.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "totals") return;
    const amounts = document.querySelectorAll("#subtotals li");
    rows().forEach((row, index) => {
      row.querySelector("[data-subtotal]").textContent = amounts[index]?.textContent || "";
    });
  });

  // Another customer: ask at once what becomes of the present one.
  const former = document.getElementById("former-customer");
  form.addEventListener("change", (event) => {
    if (!former || event.target.name !== "partner_id") return;
    former.hidden = !event.target.value || event.target.value === former.dataset.former;
    former.disabled = former.hidden;
  });

  // The rule by which the customer is taxed follows the customer, and the taxes of the lines follow the rule.
  const rule = form.elements.tax_rule_id;
  let ruled = rule?.value;
  let asked = 0;
  async function followRule(ofCustomer) {
    asked += 1;
    const mine = asked;
    const url = new URL(form.dataset.taxes, window.location.href);
    url.searchParams.set("before", ruled);
    if (ofCustomer) url.searchParams.set("customer", "1");
    const posted = new FormData(form);
    const before = posted.getAll("line.tax_id");
    const answer = await fetch(url, { method: "POST", body: posted, headers: { "X-Quiet": "1" } });
    if (!answer.ok || mine !== asked) return;
    const found = await answer.json();
    if (mine !== asked) return;
    rule.value = found.rule;
    document.getElementById("tax-mention").textContent = found.mention;
    if (found.rule === ruled) return;
    ruled = found.rule;
    // A tax that somebody has changed meanwhile, or whose line was moved, stays.
    rows().forEach((row, index) => {
      const tax = row.querySelector("[name='line.tax_id']");
      if (tax.value === before[index] && found.taxes[index] !== undefined) tax.value = found.taxes[index];
    });
    const fresh = document.getElementById("new-line").content.querySelector("[name='line.tax_id']");
    for (const option of fresh.options) option.toggleAttribute("selected", option.value === found.usual);
    changed();
  }
  form.addEventListener("change", (event) => {
    if (rule && ["partner_id", "tax_rule_id"].includes(event.target.name))
      followRule(event.target.name === "partner_id");
  });

  // Leaving with something typed and not saved is asked for by the browser.
  let dirty = !!form.querySelector(".is-invalid") || !!document.querySelector(".alert-danger");
  form.addEventListener("input", () => {
    dirty = true;
  });
  form.addEventListener("change", () => {
    dirty = true;
  });
  form.addEventListener("submit", () => {
    dirty = false;
  });
  window.addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
})();
