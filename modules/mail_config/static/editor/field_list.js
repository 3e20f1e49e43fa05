// The list of fields: found by words, chosen by keys or a click.

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

export function begin({ panel, list, search, insert, close }) {
  const choices = () => [...list.querySelectorAll(".field-choice")];
  const shown = () => choices().filter((choice) => !choice.closest("li").hidden);
  function filter() {
    const words = folded(search.value).split(/\s+/).filter(Boolean);
    for (const choice of choices()) {
      const text = folded(`${choice.textContent} ${choice.dataset.field}`);
      choice.closest("li").hidden = !words.every((word) => text.includes(word));
    }
    list.querySelectorAll("[data-field-group]").forEach((group) => {
      group.hidden = !group.querySelector("li:not([hidden])");
    });
    list.querySelector("[data-no-field]").hidden = shown().length > 0;
  }
  function choose(choice) {
    insert(choice);
    search.value = "";
    filter();
  }
  function takeBest(there) {
    // What was typed may be the whole name of a field, and the beginning of others.
    const named = there.find(
      (choice) => folded(choice.querySelector(".field-title").textContent) === folded(search.value.trim()),
    );
    const best = named || there[0];
    if (best) choose(best);
  }
  search.addEventListener("input", filter);
  panel.addEventListener("keydown", (event) => {
    const there = shown();
    const at = there.indexOf(document.activeElement);
    if (event.key === "Escape") {
      event.preventDefault();
      close();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      (there[at + 1] || there[0])?.focus();
    } else if (event.key === "ArrowUp") {
      event.preventDefault();
      (at > 0 ? there[at - 1] : search).focus();
    } else if (event.key === "Enter" && event.target === search) {
      event.preventDefault();
      takeBest(there);
    }
  });
  list.addEventListener("click", (event) => {
    const choice = event.target.closest(".field-choice");
    if (choice) choose(choice);
  });
  return { choices };
}
