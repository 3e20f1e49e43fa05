// The page of a mail template: what has changed, the live preview, and the fields that go into its texts.
import { begin as beginFields } from "./field_list.js";
import { begin as beginFiles } from "./files.js";
import { begin as beginFormulas } from "./formulas.js";
import { begin as beginRecipients } from "./recipients.js";

function start(form) {
  const panel = document.getElementById("fields-panel");
  const search = document.getElementById("field-search");
  const list = document.getElementById("field-list");
  const news = document.getElementById("template-news");
  const preview = document.getElementById("template-preview");
  const isEditor = (element) => element.matches("trix-editor");
  const targets = () =>
    [...form.querySelectorAll("[data-takes-fields]")].filter((element) => element.offsetParent !== null);
  function tell(what, name) {
    news.textContent = "";
    news.textContent = news.dataset[what].replace("…", name || "…");
  }

  // -- what has changed, and the preview ----------------------------------------------------------------
  let dirty = document.querySelector(".alert-danger, .is-invalid") !== null;
  let timer = 0;
  function refresh(wait) {
    clearTimeout(timer);
    timer = setTimeout(() => window.htmx.trigger(preview, "template-changed"), wait);
  }
  function changed() {
    dirty = true;
    refresh(500);
  }
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  function noteText(editor) {
    if (editor.shownValue === undefined || editor.shownValue === editor.value) return;
    editor.closest("[data-text]").querySelector("[data-touched]").value = "1";
    changed();
  }
  form.addEventListener("trix-change", (event) => noteText(event.target));
  form.querySelectorAll("[data-template-editor]").forEach(noteText); // on a slow line somebody types before this is here
  document.getElementById("preview-controls").addEventListener("change", () => refresh(0));
  let leaving = false; // what still comes in while the form is sent is no change
  form.addEventListener("submit", () => {
    leaving = true;
    setTimeout(() => {
      leaving = false;
    }, 4000);
  });
  window.addEventListener("beforeunload", (event) => {
    if (dirty && !leaving && !form.hasAttribute("data-kept")) event.preventDefault();
  });
  document.addEventListener("shown.bs.tab", (event) => {
    const language = event.target.dataset.language;
    if (!language) return;
    document.getElementById("preview-language").value = language;
    lastTarget = null;
    showTarget();
    refresh(0);
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === preview) preview.ariaBusy = "true";
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === preview) {
      preview.ariaBusy = "false";
      showSamples(JSON.parse(preview.querySelector("[data-samples-now]")?.dataset.samplesNow || "{}"));
    } else if (event.detail.target.matches?.("[data-text]")) {
      // Shown again in another way: go on where one was.
      window.bootstrap.Modal.getInstance(document.getElementById("dialog"))?.hide();
      lastTarget = null;
      showTarget();
      const text = document.getElementById(event.detail.target.id);
      const button = text.querySelector("[data-switch-source]");
      if (event.detail.elt.matches("[data-switch-source]")) button.focus();
      else text.querySelector("[data-body]").focus();
      changed();
    }
  });

  // -- the list of fields -------------------------------------------------------------------------------
  let lastTarget = null;
  function target() {
    const there = targets();
    if (there.includes(lastTarget)) return lastTarget;
    return there.find((element) => element.matches("[data-body]")) || there[0];
  }
  function showTarget() {
    const line = document.getElementById("fields-target");
    const element = target();
    line.textContent = element ? line.dataset.into.replace("…", element.dataset.name) : "";
  }
  form.addEventListener("focusin", (event) => {
    const element = event.target.closest("[data-takes-fields]");
    if (element) {
      lastTarget = element;
      element.wasFocused = true;
      showTarget();
    }
  });
  function showSamples(samples) {
    for (const choice of choices())
      choice.querySelector("[data-sample]").textContent = samples[choice.dataset.field] ?? "";
  }
  function openFields() {
    panel.classList.add("open");
    search.focus();
    search.select();
    // An editor that was about to show its caret again would take the focus back.
    requestAnimationFrame(() => {
      if (panel.classList.contains("open")) search.focus();
    });
    panel.scrollIntoView({ block: "nearest" });
  }
  function closeFields() {
    panel.classList.remove("open");
    const element = target();
    if (element) element.focus();
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fields-for]");
    if (button) {
      lastTarget = document.getElementById(button.dataset.fieldsFor);
      showTarget();
      openFields();
    }
    if (event.target.closest("[data-close-fields]")) closeFields();
  });

  const { choices } = beginFields({ panel, list, search, insert, close: closeFields });

  // -- into the text ------------------------------------------------------------------------------------
  const chipOf = (choice) => JSON.parse(choice.dataset.chip);
  function insert(choice) {
    const element = target();
    if (!element) return;
    panel.classList.remove("open");
    insertInto(element, choice.dataset.formula, chipOf(choice));
    tell("inserted", element.dataset.name);
  }
  function insertInto(element, formula, chip) {
    if (isEditor(element)) {
      const untouched = !element.wasFocused;
      element.focus();
      if (untouched) element.editor.setSelectedRange(element.editor.getDocument().toString().length - 1);
      element.editor.insertAttachment(new window.Trix.Attachment(chip));
    } else {
      const end = element.wasFocused ? element.selectionEnd : element.value.length;
      element.focus();
      element.setRangeText(formula, element.wasFocused ? element.selectionStart : end, end, "end");
      element.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  const DRAGGED = "application/x-envoi-field";
  list.addEventListener("dragstart", (event) => {
    const choice = event.target.closest(".field-choice");
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setData(DRAGGED, choice.dataset.field);
    event.dataTransfer.setData("text/plain", choice.dataset.formula); // what a plain field takes by itself
  });
  const draggedOver = (event) =>
    event.dataTransfer?.types.includes(DRAGGED) && event.target.closest?.("trix-editor");
  // Before the editor: it takes only what it knows.
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(
      name,
      (event) => {
        if (!draggedOver(event)) return;
        event.preventDefault();
        event.stopPropagation();
        event.dataTransfer.dropEffect = "copy";
      },
      true,
    );
  }
  document.addEventListener(
    "drop",
    (event) => {
      const element = draggedOver(event);
      if (!element) return;
      event.preventDefault();
      event.stopPropagation();
      const choice = list.querySelector(`[data-field="${CSS.escape(event.dataTransfer.getData(DRAGGED))}"]`);
      const place = document.caretRangeFromPoint?.(event.clientX, event.clientY);
      element.focus();
      if (place && element.contains(place.startContainer)) {
        window
          .getSelection()
          .setBaseAndExtent(place.startContainer, place.startOffset, place.startContainer, place.startOffset);
      }
      element.wasFocused = true;
      // The editor learns of the selection a moment later.
      setTimeout(() => {
        insertInto(element, choice.dataset.formula, chipOf(choice));
        tell("inserted", element.dataset.name);
      }, 60);
    },
    true,
  );
  document.addEventListener("trix-file-accept", (event) => {
    if (event.target.matches("[data-template-editor]")) event.preventDefault();
  });

  // -- fields of other systems --------------------------------------------------------------------------
  function look(event) {
    const text = event.target.closest("[data-text]");
    if (event.type === "paste" && event.target.closest("trix-editor")) return; // the editor tells when it has taken it
    if (text) setTimeout(() => window.htmx.trigger(text.querySelector("[data-legacy-note]"), "look"), 100);
  }
  form.addEventListener("paste", look);
  form.addEventListener("trix-paste", look);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss-note]"))
      event.target.closest("[data-legacy-note]").replaceChildren();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-clear-select]");
    if (!button) return;
    const select = document.getElementById(button.dataset.clearSelect);
    select.tomselect?.clear();
    select.tomselect?.focus();
  });
  beginFormulas({ form, list });
  beginRecipients({ form, tell, changed });
  beginFiles({ tell, changed });
  if (panel) showTarget();
}

const form = document.getElementById("template-form");
if (form) start(form);
