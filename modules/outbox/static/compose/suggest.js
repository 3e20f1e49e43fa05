// Suggestions while an address is typed: customers, contacts, colleagues (ARIA combobox with a list).
import { find } from "./server.js";
import { closed } from "./typed.js";

const PAUSE_MS = 150;

export function begin(composer, chips, field) {
  const input = chips.input(field);
  const list = input.parentElement.querySelector("[role=listbox]");
  let people = [];
  let active = -1;
  let timer;
  let asked = 0;

  function close() {
    clearTimeout(timer);
    asked += 1;
    list.hidden = true;
    list.classList.remove("show");
    list.replaceChildren();
    people = [];
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function show() {
    list.replaceChildren(
      ...people.map((person, index) => {
        const item = document.createElement("li");
        item.id = `${list.id}-${index}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        item.className = "suggestion dropdown-item";
        const name = Object.assign(document.createElement("bdi"), {
          textContent: person.name || person.email,
        });
        const email = Object.assign(document.createElement("bdi"), {
          className: "small-print",
          textContent: person.name ? person.email : "",
        });
        const detail = Object.assign(document.createElement("span"), {
          className: "small-print suggestion-detail",
          textContent: person.detail || "",
        });
        if (person.problem) detail.append(` – ${person.problem}`);
        item.append(name, " ", email, " ", detail);
        return item;
      }),
    );
    list.hidden = people.length === 0;
    list.classList.toggle("show", people.length > 0);
    input.setAttribute("aria-expanded", String(people.length > 0));
    if (people.length) composer.announce(composer.word("suggestions", { count: people.length }));
  }

  function mark(index) {
    active = (index + people.length + 1) % (people.length + 1);
    if (active === people.length) active = -1; // between the last and the first: what was typed
    [...list.children].forEach((item, at) => {
      item.setAttribute("aria-selected", String(at === active));
      if (at === active) item.scrollIntoView({ block: "nearest" });
    });
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${list.id}-${active}`);
  }

  function take(person) {
    input.value = "";
    close();
    chips.commit(field, { text: person.text });
  }

  input.addEventListener("input", (event) => {
    const text = input.value;
    const before = text.slice(0, input.selectionStart).trimEnd();
    if (before && closed(before) === before.length && !/^delete/.test(event.inputType || "")) {
      close();
      chips.commit(field, { whole: false });
      return;
    }
    clearTimeout(timer);
    composer.changed("recipients");
    const query = text.split(/[;,]/).at(-1).trim();
    if (query.length < 2 || !composer.urls.urlPeople) {
      close();
      return;
    }
    timer = setTimeout(async () => {
      asked += 1;
      const turn = asked;
      const found = await find(composer.urls.urlPeople, query);
      if (turn !== asked || document.activeElement !== input) return;
      people = (found || []).filter(
        (person) =>
          !chips.all().some((chip) => chip.dataset.address.toLowerCase() === person.email.toLowerCase()),
      );
      active = -1;
      show();
    }, PAUSE_MS);
  });

  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isOpen = people.length > 0;
    if (event.key === "Enter") {
      event.preventDefault(); // never sends the mail
      if (active >= 0) take(people[active]);
      else {
        close();
        // Ended as if by a semicolon: what is typed next, while the server still reads, is another one.
        const { value } = input;
        const ends = closed(`${value};`) === value.length + 1; // not inside quotation marks
        if (ends && value.trim() && closed(value) < value.trimEnd().length)
          input.setRangeText(";", value.length, value.length, "end");
        chips.commit(field, { whole: !ends });
      }
    } else if (isOpen && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      mark(event.key === "ArrowDown" ? active + 1 : (active < 0 ? people.length : active) - 1);
    } else if (isOpen && event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  });
  // The input keeps the focus while somebody is chosen by mouse.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) take(people[[...list.children].indexOf(item)]);
  });
  input.addEventListener("blur", close);
}
