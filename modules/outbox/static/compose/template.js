// Another template, asking only where something that the person wrote would be lost; and the text as a new template.
import { post } from "./server.js";

export function begin(composer) {
  const { root, form, urls } = composer;
  const select = form.querySelector("select#compose-template");
  const ask = root.querySelector("#change-template");
  const save = root.querySelector("#save-template");
  if (!select) return;

  const former = ([...select.options].find((option) => option.defaultSelected) ?? select).value;
  // Until the text is there, the form is still that of the former template, whatever the list shows meanwhile.
  form.addEventListener("formdata", (event) => event.formData.set("template", former));
  // A file on its way is part of what is kept: the form is not swapped before it has come in, nor while what stood in
  // it is being kept, which would come after what takes its place.
  const change = async (keepMine) => {
    const { value: wanted } = select;
    select.disabled = true;
    try {
      await Promise.allSettled([...composer.pending, composer.keeping]);
    } finally {
      select.disabled = false;
    }
    window.htmx
      .ajax("POST", urls.urlTemplate, {
        source: form,
        target: "#composer",
        select: "#composer",
        swap: "outerHTML show:none",
        values: { template: wanted, keep_mine: keepMine },
      })
      .finally(() => {
        if (form.isConnected) select.value = former;
      }); // nobody answered
  };

  select.addEventListener("change", () => {
    // Recipients, files and time stay in any case: there are no words for them.
    const changed = [...form.querySelectorAll("input[name=changed]")]
      .map((input) => composer.word(`changed${input.value[0].toUpperCase()}${input.value.slice(1)}`))
      .filter(Boolean);
    if (!changed.length) {
      change("0");
      return;
    }
    ask.querySelector("[data-changed-words]").textContent = changed.join(", ");
    composer.open(ask);
    ask.returnValue = "";
  });
  ask?.addEventListener("click", (event) => {
    const { keepMine } = event.target.closest("[data-keep-mine]")?.dataset || {};
    if (keepMine === undefined) return;
    ask.close(keepMine);
    change(keepMine);
  });
  ask?.addEventListener("close", () => {
    if (!ask.returnValue) select.value = former;
  });
  // Chosen before this was here.
  if (select.value !== former) queueMicrotask(() => select.dispatchEvent(new Event("change")));

  // The text as a template: the server makes it general and shows what it would store.
  const content = save?.querySelector("#save-template-content");
  const button = form.querySelector("[data-save-template]");
  async function show(values) {
    const data = new FormData(form);
    for (const [name, value] of Object.entries(values)) data.set(name, value);
    const { status, text } = await post(button.dataset.saveTemplate, data);
    if (status !== 200 && status !== 422) {
      composer.tell(composer.word("lost"));
      save.close();
      return;
    }
    content.innerHTML = text;
    const { templateId, templateName } = content.querySelector("[data-template-id]")?.dataset ?? {};
    // Offered at once in the composer that it came from; taken back, it is offered no more.
    if (templateId) select.add(new Option(templateName, templateId));
    if (values.withdraw && status === 200)
      for (const option of [...select.options]) if (option.value === String(values.withdraw)) option.remove();
    (content.querySelector("[aria-invalid], input") || content.querySelector("button"))?.focus();
  }
  button?.addEventListener("click", () => {
    content.replaceChildren();
    composer.open(save);
    show({ name: "" });
  });
  async function showOnce(values) {
    if (save.hasAttribute("aria-busy")) return; // pressed twice
    save.setAttribute("aria-busy", "true");
    try {
      await show(values);
    } finally {
      save.removeAttribute("aria-busy");
    }
  }
  save?.addEventListener("submit", (event) => {
    event.preventDefault();
    const reach = content.querySelector("[name=reach]:checked").value;
    showOnce({ name: content.querySelector("[name=name]").value, reach, save: "1" });
  });
  save?.addEventListener("click", (event) => {
    const { withdrawTemplate } = event.target.closest("[data-withdraw-template]")?.dataset || {};
    if (withdrawTemplate) showOnce({ withdraw: withdrawTemplate });
  });
}
