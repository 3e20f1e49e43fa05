// The text of a mailing is kept on the server a moment after each change; what could not be kept is tried again.
const form = document.getElementById("template-form");
const line = document.getElementById("text-kept");
const PAUSE_MS = 1000;
const RETRY_MS = 5000;
let timer = 0;
let changes = 0;
let kept = 0;
let busy = false;
let saving = false; // by the button: what is kept now would come after it

async function keep() {
  clearTimeout(timer);
  if (saving || busy || kept === changes) return;
  busy = true;
  const now = changes;
  const data = new FormData(form);
  data.delete("files"); // they went up when they were chosen
  try {
    const response = await fetch(line.dataset.keep, { method: "POST", body: data });
    const words = response.ok || response.status === 422 ? await response.text() : line.dataset.lost;
    line.textContent = words;
    line.classList.toggle("text-danger", !response.ok);
    if (response.ok) kept = now;
  } catch {
    line.textContent = line.dataset.lost;
  }
  busy = false;
  form.toggleAttribute("data-kept", kept === changes);
  if (kept !== changes) timer = setTimeout(keep, kept === now ? PAUSE_MS : RETRY_MS);
}

function changed() {
  changes += 1;
  form.removeAttribute("data-kept");
  clearTimeout(timer);
  timer = setTimeout(keep, PAUSE_MS);
}

for (const name of ["input", "change", "trix-change", "htmx:afterSwap"])
  form.addEventListener(name, (event) => {
    const editor = event.target;
    if (name === "trix-change" && (editor.shownValue === undefined || editor.shownValue === editor.value))
      return;
    changed();
  });
// On a slow line somebody types before this is here.
for (const input of form.querySelectorAll("input[name^=subject_], textarea:not([hidden])"))
  if (input.value !== input.defaultValue) changed();
for (const editor of form.querySelectorAll("trix-editor"))
  if (editor.shownValue !== undefined && editor.shownValue !== editor.value) changed();
form.addEventListener("submit", () => {
  saving = true;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) keep();
});
