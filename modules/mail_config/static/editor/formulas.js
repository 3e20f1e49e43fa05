// Formulas as chips in the text: what one stands for, on hover; and the dialogue that changes one.

export function begin({ form, list }) {
  // What a chip stands for, on hover; not as a title, since the editor would notice and draw itself anew.
  const tip = document.getElementById("chip-tip");
  document.addEventListener("mouseover", (event) => {
    const figure = event.target.closest?.("[data-template-editor] figure[data-trix-attachment]");
    tip.hidden = !figure;
    if (!figure) return;
    const { formula, sample } = JSON.parse(figure.dataset.trixAttachment);
    const name = /^\{\{\s*([\w.]+)\s*\}\}$/.exec(formula)?.[1];
    const shownNow =
      name && list.querySelector(`[data-field="${CSS.escape(name)}"] [data-sample]`)?.textContent;
    tip.textContent = [formula, shownNow || sample].filter(Boolean).join(" → ");
    const box = figure.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${box.top - tip.offsetHeight - 4}px`;
  });

  const dialog = document.getElementById("formula-dialog");
  const source = document.getElementById("formula-source");
  let edited = null;
  function edit(element, attachment) {
    edited = { element, attachment };
    source.value = attachment.getAttribute("formula");
    source.setCustomValidity("");
    dialog.returnValue = "";
    dialog.showModal();
    source.focus();
  }
  document.addEventListener(
    "mousedown",
    (event) => {
      // Or the editor, when it gets the focus by this very press, would let go of the chip again.
      const element = event.target
        .closest?.("figure[data-trix-attachment]")
        ?.closest("[data-template-editor]");
      if (element && document.activeElement !== element) element.focus();
    },
    true,
  );
  document.addEventListener("trix-attachment-before-toolbar", (event) => {
    const element = event.target.closest("[data-template-editor]");
    if (!element) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "formula-edit";
    button.textContent = element.dataset.edit;
    button.title = event.attachment.getAttribute("formula");
    button.addEventListener("click", (click) => {
      click.preventDefault();
      click.stopPropagation();
      edit(element, event.attachment);
    });
    event.toolbar.append(button);
    element.chosenFormula = event.attachment;
  });
  document.addEventListener(
    "keydown",
    (event) => {
      // Enter on a chosen chip opens it, as a click on its button does.
      const element = event.target.closest?.("[data-template-editor]");
      if (!element || event.key !== "Enter" || !element.querySelector("[data-trix-mutable] .formula-edit"))
        return;
      event.preventDefault();
      event.stopPropagation();
      edit(element, element.chosenFormula);
    },
    true,
  );
  source.addEventListener("input", () => source.setCustomValidity(""));
  dialog.querySelector("form").addEventListener("submit", (event) => {
    if (event.submitter?.value !== "ok") return;
    event.preventDefault();
    const asked = edited; // another one may be open before the answer comes
    const text = edited.element.closest("[data-text]");
    const url = new URL(form.dataset.chip, window.location.href);
    url.searchParams.set("formula", source.value);
    url.searchParams.set("language", text.dataset.text);
    fetch(url, { headers: { Accept: "application/json" } })
      .then((response) => response.json())
      .then(
        (chip) => {
          if (chip.error && (edited !== asked || !dialog.open)) return;
          if (chip.error) {
            source.setCustomValidity(chip.error);
            source.reportValidity();
            return;
          }
          asked.attachment.setAttributes(chip);
          asked.element.editor.composition.stopEditingAttachment(); // or it could not be chosen again
          if (edited !== asked || !dialog.open) return;
          dialog.close("ok");
          asked.element.focus();
        },
        () => window.envoiToast(document.body.dataset.messageLost),
      );
  });
  dialog.querySelector("button[value='']").addEventListener("click", () => edited?.element.focus());
}
