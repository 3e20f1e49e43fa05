// The files that go with every mail of a template: chosen or dropped, sent up at once.

export function begin({ tell, changed }) {
  const files = document.getElementById("template-files");
  const upload = document.getElementById("files");
  const progress = document.getElementById("files-progress");
  files.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove-template-file]")) return;
    event.target.closest("li").remove();
    upload.focus();
    tell("fileRemoved");
    changed();
  });
  let going = null; // the files that are on their way; others may be chosen meanwhile
  upload.addEventListener("htmx:beforeRequest", () => {
    going = [...upload.files];
    files.querySelectorAll("[data-file-error]").forEach((line) => {
      line.remove();
    });
    progress.hidden = false;
  });
  upload.addEventListener("htmx:xhr:progress", (event) => {
    if (event.detail.lengthComputable) progress.value = (100 * event.detail.loaded) / event.detail.total;
  });
  upload.addEventListener("htmx:afterRequest", (event) => {
    progress.hidden = true;
    progress.value = 0;
    if (!event.detail.successful) return;
    if (going.every((file, place) => file === upload.files[place])) upload.value = "";
    changed();
  });
  document.addEventListener("drop", (event) => {
    // What is dropped lies in the input by then.
    const zone = event.target.closest?.("[data-dropzone]");
    if (zone?.contains(upload)) setTimeout(() => window.htmx.trigger(upload, "change"));
  });
}
