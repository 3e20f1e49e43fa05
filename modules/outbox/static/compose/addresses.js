// The address dialogue: billing, delivery and contact addresses side by side; add, replace, clear per field.
export function begin(composer) {
  const { root, form, chips } = composer;
  const dialog = root.querySelector("#address-book");
  if (!dialog) return;
  const target = () => dialog.querySelector("[name=book-field]:checked").value;
  const news = dialog.querySelector("[data-book-news]");

  /** Show who is in the chosen field, and how many are in each. */
  function sync() {
    for (const field of chips.FIELDS) {
      dialog.querySelector(`[data-book-count=${field}]`).textContent =
        `(${chips.list(field).children.length})`;
    }
    dialog.querySelector("[data-book-clear]").disabled = !chips.list(target()).children.length;
    for (const actions of dialog.querySelectorAll("[data-book-chip]")) {
      const chip = chips.find(actions.dataset.bookChip);
      const there = Boolean(chip) && chips.fieldOf(chip) === target();
      const button = actions.querySelector("[data-book-add]");
      const words = button.querySelector("[data-book-words]");
      button.setAttribute("aria-pressed", String(there));
      button.querySelector("i").className = `bi bi-${there ? "check-lg" : "plus"}`;
      words.textContent = there ? words.dataset.in : words.dataset.out;
    }
  }

  form.querySelector("[data-open-book]").addEventListener("click", () => {
    composer.open(dialog);
    sync();
  });
  dialog.addEventListener("htmx:afterSwap", sync);
  dialog.addEventListener("change", sync);
  root.addEventListener("compose-recipients", sync);
  dialog.addEventListener("click", (event) => {
    const actions = event.target.closest("[data-book-chip]");
    const all = event.target.closest("[data-book-all]");
    const field = target();
    if (event.target.closest("[data-book-clear]")) {
      for (const chip of [...chips.list(field).children]) chips.takeOut(chip, { focus: false });
      news.textContent = composer.word("cleared");
      dialog.querySelector("[name=book-field]:checked").focus();
    } else if (all) {
      for (const one of all.closest(".book-entry").querySelectorAll("[data-book-chip]")) {
        const there = chips.find(one.dataset.bookChip);
        // Whoever is in another field was put there.
        if (!there)
          chips.add([one.querySelector("template").content.firstElementChild.cloneNode(true)], field);
      }
      news.textContent = composer.word("allThere", { name: all.dataset.bookAll });
    } else if (actions) {
      const there = chips.find(actions.dataset.bookChip);
      const chip = there || actions.querySelector("template").content.firstElementChild.cloneNode(true);
      const { name } = chip.dataset;
      if (event.target.closest("[data-book-only]")) {
        for (const other of [...chips.list(field).children])
          if (other !== there) chips.takeOut(other, { focus: false });
      } else if (!event.target.closest("[data-book-add]")) {
        return;
      } else if (there && chips.fieldOf(there) === field) {
        chips.takeOut(there, { focus: false });
        news.textContent = composer.word("removed", { name });
        return;
      }
      if (there) chips.move(there, field);
      else chips.add([chip], field);
      news.textContent = composer.word(`moved${field[0].toUpperCase()}${field.slice(1)}`, { name });
    }
  });
}
