// An address that nobody has yet becomes a contact of the customer.
import { post } from "./server.js";

export function begin(composer) {
  const { root, urls, chips } = composer;
  const dialog = root.querySelector("#keep-contact");
  if (!dialog) return;
  const form = dialog.querySelector("[data-contact-form]");
  const name = dialog.querySelector("#contact-name");
  const type = dialog.querySelector("#contact-type");
  const error = dialog.querySelector("[data-contact-error]");
  let chip = null;
  let busy = false;

  root.addEventListener("compose-contact", (event) => {
    chip = event.detail;
    dialog.querySelector("[data-contact-address]").textContent = chip.dataset.address;
    name.value = chip.dataset.name === chip.dataset.address ? "" : chip.dataset.name;
    error.textContent = "";
    composer.open(dialog);
    name.focus();
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return; // pressed twice
    busy = true;
    try {
      await keep();
    } finally {
      busy = false;
    }
  });

  async function keep() {
    const kept = chip; // another one may be asked about before the answer comes
    const quoted = name.value.trim().replace(/["\\<>]/g, "");
    const text = quoted ? `"${quoted}" <${kept.dataset.address}>` : kept.dataset.address;
    const { status, text: html } = await composer.wait(
      post(urls.urlContact, { text, type: type.value, field: chips.fieldOf(kept) }),
    );
    if (status !== 200) {
      const page = new DOMParser().parseFromString(html, "text/html");
      error.textContent =
        page.querySelector("[data-chip-error]")?.textContent ||
        (status === 422 && page.body.textContent.trim()) ||
        composer.word("lost");
      return;
    }
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = made.content.querySelector("[data-chip]");
    if (!fresh) {
      error.textContent = made.content.textContent.trim();
      return;
    }
    fresh.querySelector("input").name = chips.fieldOf(kept);
    kept.replaceWith(fresh);
    if (chip === kept) dialog.close();
    chips.sync();
    composer.changed("recipients");
    composer.tell(composer.word("keptContact", { name: fresh.dataset.name }));
    chips.button(fresh).focus();
  }
}
