// The text editor, wherever it stands: its words in the language of the page, its toolbar within reach of the keyboard.
// It is loaded before the editor, or it would miss how the first ones begin: whatever comes later may come too late.
(() => {
  "use strict";
  // What the editor makes of a text by itself is no change by the person; each form asks for this to tell the two apart.
  document.addEventListener(
    "trix-initialize",
    (event) => {
      event.target.shownValue = event.target.value;
    },
    true,
  );
  // No-break spaces are part of a text: “2 706,21 €” must not break. Where the editor reads HTML it makes blanks of
  // them, and of U+FEFF nothing (Trix 2.1, `HTMLParser`). Here they stay; the narrow ones, which French puts between
  // thousands, become those of usual width, since it takes them for blanks before. Reading its own page again, after a word was
  // composed on a telephone, it finds those too that only show blanks at the end of a line or in a row: those have a
  // blank or nothing beside them.
  function keepNoBreakSpaces() {
    const parser = window.Trix.models.HTMLParser.prototype;
    const read = parser.processTextNode;
    parser.processTextNode = function (node) {
      node.data = node.data.replaceAll("\u202f", "\u00a0");
      return read.call(this, node);
    };
    parser.appendStringWithAttributes = function (string, attributes = {}) {
      const ownPage = !this.referenceElement && !this.purifyOptions;
      const shownBlank = ownPage ? /(?<!\S)\u00a0|\u00a0(?!\S)/g : /(?!)/g;
      const text = string.replaceAll("\ufeff", "").replace(shownBlank, " ");
      return this.appendPiece({ string: text, attributes, type: "string" });
    };
  }
  let keepsSpaces = false;
  document.addEventListener("trix-before-initialize", () => {
    if (!keepsSpaces) keepNoBreakSpaces();
    keepsSpaces = true;
    const words = document.getElementById("editor-words")?.dataset;
    if (words) Object.assign(window.Trix.config.lang, words);
    // Under a picture stands what describes it, not the name of its file.
    window.Trix.config.attachments.preview.caption = { name: false, size: false };
  });

  // Files come into the text where somebody takes care of them: in the composer.
  document.addEventListener("trix-file-accept", (event) => {
    if (!event.target.closest("[data-composer]")) event.preventDefault();
  });

  // One stop of the Tab key, the arrows walk on (ARIA toolbar pattern); the editor itself leaves its buttons out.
  const buttons = (toolbar) =>
    [...toolbar.querySelectorAll(".trix-button-row .trix-button")].filter(
      (button) => button.offsetParent !== null,
    );
  document.addEventListener("trix-initialize", (event) => {
    const toolbar = event.target.toolbarElement;
    toolbar.setAttribute("role", "toolbar");
    toolbar.setAttribute("aria-label", document.getElementById("editor-words")?.dataset.toolbar || "");
    toolbar.setAttribute("aria-controls", event.target.id);
    for (const button of toolbar.querySelectorAll(".trix-button-row .trix-button"))
      button.setAttribute("aria-label", button.title);
    const first = toolbar.querySelector(".trix-button-row .trix-button");
    if (first) first.tabIndex = 0;
    // Pressed or not is told in words too; Trix only colors its buttons.
    const tell = () =>
      toolbar.querySelectorAll(".trix-button-row [data-trix-attribute]").forEach((button) => {
        button.setAttribute("aria-pressed", String(button.hasAttribute("data-trix-active")));
      });
    new MutationObserver(tell).observe(toolbar, { subtree: true, attributeFilter: ["data-trix-active"] });
    tell();
  });
  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.("trix-toolbar .trix-button-row .trix-button");
    if (!button) return;
    const all = buttons(button.closest("trix-toolbar"));
    const enabled = all.filter((each) => !each.disabled);
    const at = enabled.indexOf(button);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    for (const each of all) each.tabIndex = -1;
    const next = enabled.at(to % enabled.length);
    next.tabIndex = 0;
    next.focus();
  });
})();
