// The door of the composer: its parts are fetched when a page may open one, and begin with every form that comes in.
const parts = async () => (await Promise.all([import("./form.js"), window.envoiNeed("filesEditor")]))[0];

async function begin(root) {
  const place = root.matches?.("[data-composer]") ? root : root.querySelector?.("[data-composer]");
  if (!place || place.dataset.begun) return;
  place.dataset.begun = "1";
  (await parts()).begin(place);
}

document.addEventListener("htmx:load", (event) => begin(event.detail.elt));
begin(document.body);
// Fetched before the button is pressed, so that nobody waits for them; in a list, when somebody comes near one.
const OPENER = "a[hx-target='#dialog-content']";
if (document.querySelector(`.control ${OPENER}`)) parts();
else
  for (const name of ["pointerover", "focusin"])
    document.addEventListener(name, (event) => event.target.closest?.(OPENER) && parts());

// What was closed a moment ago is being kept: whoever opens it again waits for that.
let keeping = null;
document.addEventListener("compose-keeping", (event) => {
  keeping = event.detail.finally(() => {
    keeping = null;
  });
});
document.addEventListener("htmx:confirm", (event) => {
  if (!keeping || event.detail.target?.id !== "dialog-content") return;
  event.preventDefault();
  const { elt } = event.detail;
  elt.classList.add("disabled");
  keeping.finally(() => {
    elt.classList.remove("disabled");
    event.detail.issueRequest();
  });
});

// No answer about the PDF: said where it would stand, with the button to ask again. It is asked for before the parts
// have begun.
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(
    name,
    (event) => {
      const place = event.target.closest?.("#compose-pdf");
      if (!place) return;
      event.stopImmediatePropagation();
      const lost = document.getElementById("compose-pdf-lost").content.firstElementChild.cloneNode(true);
      place.replaceWith(lost);
      window.htmx.process(lost);
    },
    { capture: true },
  );
}

// Whoever opened the dialog gets the focus back.
let opener = null;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "dialog-content") opener = event.detail.elt;
});
document.getElementById("dialog")?.addEventListener("hidden.bs.modal", () => {
  document.getElementById("dialog-content").replaceChildren();
  if (opener?.isConnected) opener.focus();
});

// What this browser holds for a person goes when they have signed out: the computer may be shared.
if ("signedOut" in document.body.dataset)
  for (const key of Object.keys(window.localStorage))
    if (key.startsWith("envoi-draft:")) window.localStorage.removeItem(key);

// After Send: the seconds that remain to call the mail back.
const undo = document.querySelector("[data-undo-mail]");
if (undo) {
  const end = performance.now() + Number(undo.dataset.undoMail) * 1000;
  const left = undo.querySelector("[data-undo-left]");
  // Its button is the next stop of the keyboard; the focus itself would let a second Enter take the mail back.
  undo.focus({ preventScroll: true });
  const timer = setInterval(() => {
    const seconds = Math.ceil((end - performance.now()) / 1000);
    left.textContent = Math.max(seconds, 0);
    if (seconds > 0) return;
    clearInterval(timer);
    const words = undo.querySelector(".undo-words");
    undo.replaceWith(words.dataset.gone);
  }, 250);
}
