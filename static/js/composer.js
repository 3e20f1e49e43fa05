// The composer: dropping files, removing them, choosing a template on the page of its own.
(() => {
  "use strict";
  document.addEventListener("dragover", (event) => {
    const zone = event.target.closest?.("[data-dropzone]");
    if (zone) { event.preventDefault(); zone.classList.add("over"); }
  });
  document.addEventListener("dragleave", (event) => event.target.closest?.("[data-dropzone]")?.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    const zone = event.target.closest?.("[data-dropzone]");
    if (!zone) return;
    event.preventDefault();
    zone.classList.remove("over");
    const input = zone.querySelector("input[type=file]");
    const all = new DataTransfer();
    for (const file of [...input.files, ...event.dataTransfer.files]) all.items.add(file);
    input.files = all.files;
  });
  document.addEventListener("click", (event) => event.target.closest("[data-remove-file]")?.closest("[data-kept-file]").remove());
  document.addEventListener("change", (event) => {
    const select = event.target.closest("select[data-compose-template]:not([hx-get])");
    if (select) window.location.assign(`${select.dataset.composeTemplate}?template=${encodeURIComponent(select.value)}`);
  });
  // The editor brings its own words, in English; these are the French ones.
  const FRENCH = {
    bold: "Gras", italic: "Italique", strike: "Barré", link: "Lien", heading1: "Titre", quote: "Citation", code: "Code",
    bullets: "Liste à puces", numbers: "Liste numérotée", outdent: "Diminuer le retrait", indent: "Augmenter le retrait",
    undo: "Annuler", redo: "Rétablir", unlink: "Enlever le lien", url: "Adresse", urlPlaceholder: "Saisissez une adresse…",
  };
  document.addEventListener("trix-before-initialize", () => {
    if (document.documentElement.lang === "fr") Object.assign(window.Trix.config.lang, FRENCH);
  });
  // Files belong to the dropzone below, not into the text: the mail has no inline pictures yet.
  document.addEventListener("trix-file-accept", (event) => event.preventDefault());
})();
