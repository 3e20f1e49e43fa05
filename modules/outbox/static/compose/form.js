// One open composer: what its parts share. Each part is a file of its own and knows the others only by this.
import * as addresses from "./addresses.js";
import * as keep from "./autosave.js";
import * as change from "./change.js";
import * as chips from "./chips.js";
import * as contact from "./contact.js";
import * as files from "./files.js";
import * as findings from "./findings.js";
import * as sending from "./send.js";
import * as template from "./template.js";
import * as text from "./text.js";

let former = null; // ends what the composer before this one has listened to outside itself

export function begin(root) {
  former?.abort();
  former = new AbortController();
  const form = root.querySelector("form");
  const words = root.querySelector("#compose-words").dataset;
  const news = root.querySelector("[data-news]");
  const pending = new Set();
  let newsTimer;

  const composer = {
    root,
    form,
    urls: root.dataset,
    dialog: root.closest(".modal"),
    pending,
    keeping: null, // what is on its way to be kept
    signal: former.signal,

    /** The words of the page, with {names} filled in. */
    word(name, values = {}) {
      return (words[name] || "").replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
    },

    /** Say what has happened, politely; with `undo`, a button that takes it back. */
    tell(sentence, undo = null) {
      clearTimeout(newsTimer);
      const line = Object.assign(document.createElement("span"), {
        className: "compose-news-words",
        textContent: sentence,
      });
      news.replaceChildren(line);
      if (undo) {
        const button = Object.assign(document.createElement("button"), {
          type: "button",
          className: "btn btn-sm btn-light",
          textContent: words.undo,
        });
        button.addEventListener("click", () => {
          news.replaceChildren();
          undo();
        });
        line.append(" ", button);
      }
      newsTimer = setTimeout(
        () => {
          if (!news.contains(document.activeElement)) news.replaceChildren();
        },
        undo ? 12000 : 5000,
      );
    },

    /** Say something to those who listen only. */
    announce(sentence) {
      root.querySelector("[data-announce]").textContent = sentence;
    },

    /** The person has changed something, named as `CHANGEABLE` in form.py does: keep it, look it through. */
    changed(what) {
      if (!form.querySelector(`input[name=changed][value="${what}"]`)) {
        form.prepend(
          Object.assign(document.createElement("input"), { type: "hidden", name: "changed", value: what }),
        );
      }
      form.dispatchEvent(new CustomEvent("compose-changed", { bubbles: true }));
    },

    /** Send waits for what is on its way to the server. */
    wait(promise) {
      pending.add(promise);
      promise.finally(() => pending.delete(promise)).catch(() => {});
      return promise;
    },

    /** A file size as the server writes it. */
    size(bytes) {
      const number = (value, digits) =>
        new Intl.NumberFormat(document.documentElement.dataset.numbers, {
          maximumFractionDigits: digits,
        }).format(value);
      if (bytes < 1000) return composer.word("bytes", { count: number(bytes, 0) });
      if (bytes < 1e6) return composer.word("kilobytes", { count: number(bytes / 1000, 0) });
      return composer.word("megabytes", { count: number(bytes / 1e6, 1) });
    },

    /** Open one of the dialogues over the composer; Escape closes this one only. */
    open(dialog) {
      const before = document.activeElement;
      dialog.addEventListener(
        "close",
        () => {
          if (before?.isConnected) before.focus();
        },
        { once: true },
      );
      dialog.showModal();
    },
  };

  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape") event.stopPropagation();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close-dialog]")) dialog.close();
    });
  }
  form.addEventListener("input", (event) => {
    const what = event.target.closest("[data-changes]")?.dataset.changes;
    if (what) composer.changed(what);
  });
  // What is empty is told once somebody has been there, and not before.
  form.addEventListener("focusout", (event) => {
    const place = event.target.closest("[data-visits]");
    const what = place?.dataset.visits;
    if (!what || place.contains(event.relatedTarget) || !document.hasFocus()) return;
    if (form.querySelector(`input[name=visited][value="${what}"]`)) return;
    form.prepend(
      Object.assign(document.createElement("input"), { type: "hidden", name: "visited", value: what }),
    );
    form.dispatchEvent(new CustomEvent("compose-look"));
  });
  form.addEventListener("click", (event) => {
    const name = event.target.closest("[data-show-field]")?.dataset.showField;
    if (name) showField(form, name);
  });

  composer.chips = chips.begin(composer);
  composer.files = files.begin(composer);
  text.begin(composer);
  template.begin(composer);
  change.begin(composer);
  contact.begin(composer);
  addresses.begin(composer);
  findings.begin(composer);
  keep.begin(composer);
  sending.begin(composer);
  for (const input of form.querySelectorAll(
    "[data-changes] :is(input, select, textarea), :is(input, select, textarea)[data-changes]",
  )) {
    if (differs(input)) composer.changed(input.closest("[data-changes]").dataset.changes); // typed before this was here
  }
  if (sending.takeRefusal() || form.querySelector(".invalid-feedback, .alert-danger")) showTrouble(form);
  root.dataset.ready = "1";
  composer.dialog?.addEventListener(
    "hide.bs.modal",
    (event) => {
      if (event.target === composer.dialog) root.dispatchEvent(new CustomEvent("compose-closing"));
    },
    { signal: composer.signal },
  );
}

function differs(input) {
  if (["checkbox", "radio"].includes(input.type)) return input.checked !== input.defaultChecked;
  if (input.options)
    return (
      [...input.options].some((option) => option.selected !== option.defaultSelected) &&
      [...input.options].some((option) => option.defaultSelected)
    );
  return input.type !== "hidden" && input.value !== input.defaultValue;
}

function showField(form, name) {
  const place =
    form.querySelector(`[data-field="${name}"], [data-place="${name}"]`) ||
    form.querySelector(`[name="${name}"]`)?.parentElement;
  if (!place) {
    form.querySelector("#compose-to").focus();
    return;
  }
  place.hidden = false;
  const fold = place.closest("details");
  if (fold) fold.open = true;
  place.scrollIntoView({ block: "center" });
  place
    .querySelector("trix-editor, input:not([type=hidden]), select, textarea")
    ?.focus({ preventScroll: true });
}

/** Come back with what is wrong: the first place of it gets the focus. */
function showTrouble(form) {
  const first = form.querySelector(
    ".alert-danger, [aria-invalid=true], [data-severity=block], [data-severity=ask]:not(.finding-confirmed)",
  );
  const fold = first?.closest("details");
  if (fold) fold.open = true;
  first?.focus({ preventScroll: true });
  first?.scrollIntoView({ block: "center" });
}
