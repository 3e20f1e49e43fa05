// Recipients as chips in To, Cc and Bcc: typed, moved, left out for this time, put back – by mouse and by keyboard.
import { begin as beginMenu } from "./menu.js";
import { post } from "./server.js";
import { begin as beginSuggestions } from "./suggest.js";
import { closed } from "./typed.js";

const FIELDS = ["to", "cc", "bcc"];

const key = (address) => (address || "").toLowerCase();

export function begin(composer) {
  const { root, form, urls } = composer;
  const list = (field) => form.querySelector(`[data-chips="${field}"]`);
  const row = (field) => form.querySelector(`[data-field="${field}"]`);
  const input = (field) => row(field).querySelector(".chip-input");
  const all = () => [...form.querySelectorAll("[data-chips] > [data-chip]")];
  const fieldOf = (chip) => chip.closest("[data-chips]").dataset.chips;
  const button = (chip) => chip.querySelector(".chip-button");
  const find = (address) => all().find((chip) => key(chip.dataset.address) === key(address));

  /** One stop of the Tab key for the chips of a field; the arrows walk on from there. */
  function sync() {
    for (const field of [...FIELDS, "left_out"]) {
      const chips = [...list(field).children];
      const stop = chips.find((chip) => chip.hasAttribute("data-stop")) || chips.at(-1);
      for (const chip of chips) button(chip).tabIndex = chip === stop && field !== "left_out" ? 0 : -1;
      if (field !== "left_out") input(field).placeholder = chips.length ? "" : input(field).dataset.hint;
    }
    form.querySelector("[data-left-out]").hidden = !list("left_out").children.length;
    const there = new Set(all().map((chip) => key(chip.dataset.address)));
    let offered = false;
    for (const choice of form.querySelectorAll("[data-choice]")) {
      choice.hidden = there.has(key(choice.dataset.choice));
      offered ||= !choice.hidden;
    }
    form.querySelector("[data-choices]").hidden = !offered;
    for (const unfold of form.querySelectorAll("[data-unfold]"))
      unfold.hidden = !row(unfold.dataset.unfold).hidden;
    root.dispatchEvent(new CustomEvent("compose-recipients"));
  }

  function place(chip, field) {
    chip.querySelector("input").name = field;
    list(field).append(chip);
    if (row(field)) row(field).hidden = false;
  }

  function move(chip, field, { quiet = false } = {}) {
    const back = fieldOf(chip) === "left_out";
    if (fieldOf(chip) !== field) {
      if (field === "left_out") chip.dataset.former = fieldOf(chip);
      place(chip, field);
      sync();
      composer.changed("recipients");
    }
    if (!quiet)
      composer.tell(
        composer.word(back ? "putBack" : `moved${field[0].toUpperCase()}${field.slice(1)}`, {
          name: chip.dataset.name,
        }),
      );
  }

  /** Take somebody out: who was offered stays below, struck through; who was typed is gone, until undone. */
  function takeOut(chip, { focus = true } = {}) {
    const field = fieldOf(chip);
    const next = chip.nextElementSibling || chip.previousElementSibling;
    const former = chip.nextElementSibling;
    if (chip.hasAttribute("data-typed")) {
      chip.remove();
      composer.tell(composer.word("removed", { name: chip.dataset.name }), () => {
        list(field).insertBefore(chip, former?.parentElement === list(field) ? former : null);
        sync();
        composer.changed("recipients");
        button(chip).focus();
      });
    } else {
      chip.dataset.former = field;
      place(chip, "left_out");
      composer.tell(composer.word("leftOut", { name: chip.dataset.name }), () => {
        move(chip, field);
        button(chip).focus();
      });
    }
    sync();
    composer.changed("recipients");
    if (focus) (next ? button(next) : input(field)).focus();
  }

  /** Take chips that the server, or the page, has made; those who are there already are not taken twice. */
  function add(chips, field) {
    const double = [];
    for (const chip of chips) {
      const there = find(chip.dataset.address);
      if (there && fieldOf(there) === "left_out") move(there, field);
      else if (there) double.push(there);
      else place(chip, field);
    }
    for (const chip of double) {
      chip.classList.add("chip-flash");
      setTimeout(() => chip.classList.remove("chip-flash"), 1200);
    }
    if (double.length)
      composer.tell(composer.word("already", { names: double.map((chip) => chip.dataset.name).join(", ") }));
    sync();
    composer.changed("recipients");
  }

  // What was typed is read by the server alone; what it cannot read stays where it was typed.
  const turns = Object.fromEntries(FIELDS.map((field) => [field, Promise.resolve()]));
  function commit(field, { text = null, whole = true } = {}) {
    const turn = turns[field].then(() => read(field, text, whole));
    turns[field] = turn.catch(() => {});
    return composer.wait(turn);
  }
  async function read(field, offered, whole) {
    const box = input(field);
    const typed = offered === null ? box.value.slice(0, whole ? undefined : closed(box.value)) : "";
    const text = (offered ?? typed).trim();
    if (!text || !urls.urlChips) return;
    const { status, text: html } = await post(urls.urlChips, { field, text });
    if (status !== 200) return; // it stays in the input, and Send reads it there
    const made = document.createElement("template");
    made.innerHTML = html;
    const wrong = [...made.content.querySelectorAll("[data-chip-error]")];
    // Somebody may have typed on meanwhile: only what was read goes, and the caret stays where it is.
    if (box.value.startsWith(typed))
      box.setRangeText(wrong.map((item) => item.dataset.text).join("; "), 0, typed.length, "preserve");
    if (!wrong.length && /^\s/.test(box.value))
      box.setRangeText("", 0, box.value.length - box.value.trimStart().length, "preserve");
    complain(
      field,
      wrong.map((item) => item.textContent),
    );
    add([...made.content.querySelectorAll("[data-chip]")], field);
  }

  /** Say beside the field what could not be read; nothing, once it is gone. */
  function complain(field, sentences) {
    const box = input(field);
    const place = form.querySelector(`[data-complaints="${field}"]`);
    place.replaceChildren(
      ...sentences.map((sentence) => Object.assign(document.createElement("div"), { textContent: sentence })),
    );
    row(field).querySelector(".invalid-feedback")?.remove();
    box.closest(".chip-field").classList.toggle("is-invalid", sentences.length > 0);
    if (sentences.length) {
      box.setAttribute("aria-invalid", "true");
      box.setAttribute("aria-describedby", place.id);
    } else {
      box.removeAttribute("aria-invalid");
      box.removeAttribute("aria-describedby");
    }
  }

  const tools = { FIELDS, all, fieldOf, find, button, list, row, input, move, takeOut, add, commit, sync };
  const menu = beginMenu(composer, tools);

  for (const field of FIELDS) {
    const box = input(field);
    box.dataset.hint = box.placeholder || input("to").placeholder;
    beginSuggestions(composer, tools, field);
    box.addEventListener("keydown", (event) => {
      const last = list(field).lastElementChild;
      const atStart = box.selectionStart === 0 && box.selectionEnd === 0;
      if (last && atStart && (event.key === "Backspace" || event.key === "ArrowLeft")) {
        event.preventDefault();
        button(last).focus();
      }
    });
    // Line breaks separate addresses as well, but an input swallows them.
    box.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text/plain");
      if (!/[;,\n\r\t]/.test(text)) return;
      event.preventDefault();
      box.setRangeText(text.replace(/[\r\n\t]+/g, "; "), box.selectionStart, box.selectionEnd, "end");
      commit(field);
    });
    box.addEventListener("input", () => {
      if (!box.value.trim()) complain(field, []);
    });
    box.addEventListener("blur", () => {
      if (box.value.trim()) commit(field);
    });
  }

  // What could not be read while the server was away is read now.
  root.addEventListener("compose-connected", () => {
    for (const field of FIELDS)
      if (input(field).value.trim() && document.activeElement !== input(field)) commit(field);
  });

  form.addEventListener("keydown", (event) => {
    const chip = event.target.closest(".chip-button")?.closest("[data-chip]");
    if (!chip) return;
    const field = fieldOf(chip);
    const chips = [...list(field).children];
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const go = (other) => {
      for (const each of chips) each.removeAttribute("data-stop");
      other?.setAttribute("data-stop", "");
      sync();
      (other ? button(other) : input(field)).focus();
    };
    if (step) go(chips[Math.max(chips.indexOf(chip) + step, 0)]);
    else if (event.key === "Home") go(chips[0]);
    else if (event.key === "End") go(null);
    else if (event.key === "Delete" || event.key === "Backspace") takeOut(chip);
    else if (event.key === "Enter" || event.key === " ") menu.open(chip);
    else return;
    event.preventDefault();
  });

  form.addEventListener("click", (event) => {
    const { target } = event;
    const chip = target.closest("[data-chip]");
    const unfold = target.closest("[data-unfold]");
    if (target.closest("[data-put-back]")) {
      move(chip, chip.dataset.former || "to");
      button(chip).focus();
    } else if (target.closest(".chip-button")) {
      menu.open(chip);
    } else if (unfold) {
      row(unfold.dataset.unfold).hidden = false;
      sync();
      input(unfold.dataset.unfold).focus();
    } else if (target.closest("[data-choice] .choice")) {
      const choice = target.closest("[data-choice]");
      add([choice.querySelector("template").content.firstElementChild.cloneNode(true)], "to");
      button(find(choice.dataset.choice)).focus();
    } else if (target.matches(".chip-field, .chip-list")) {
      target.closest(".chip-field")?.querySelector(".chip-input").focus();
    }
  });

  // By mouse: from one field to another.
  let dragged = null;
  form.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-chip]");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.address);
    setTimeout(() => {
      for (const field of FIELDS) row(field).hidden = false;
      sync();
    });
  });
  form.addEventListener("dragover", (event) => {
    const over = dragged && event.target.closest("[data-field]");
    form.querySelectorAll("[data-field].over").forEach((other) => {
      other.classList.toggle("over", other === over);
    });
    if (!over) return;
    event.preventDefault();
    over.classList.add("over");
  });
  form.addEventListener("drop", (event) => {
    const over = dragged && event.target.closest("[data-field]");
    if (!over) return;
    event.preventDefault();
    move(dragged, over.dataset.field);
    button(dragged).focus();
  });
  form.addEventListener("dragend", () => {
    dragged = null;
    for (const field of ["cc", "bcc"])
      row(field).hidden = !list(field).children.length && !input(field).value;
    form.querySelectorAll("[data-field].over").forEach((other) => {
      other.classList.remove("over");
    });
    sync();
  });

  sync();
  return tools;
}
