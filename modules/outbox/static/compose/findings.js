// What was found wrong, looked at anew while somebody writes: what was accepted meanwhile stays so, and nobody is
// told again what has not changed.
export function begin(composer) {
  const { form } = composer;
  const place = form.querySelector("#compose-check");
  const boxes = () => [...place.querySelectorAll("[name=confirmed]")];
  let given = new Map();

  place.addEventListener("htmx:beforeSwap", (event) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = event.detail.xhr.responseText;
    const words = (root) =>
      [...root.querySelectorAll(".finding-words")].map((line) => line.textContent.trim()).join("\n");
    given = new Map(boxes().map((box) => [box.value, box.checked]));
    if (words(fresh.content) === words(place)) event.detail.shouldSwap = false;
  });
  place.addEventListener("htmx:afterSwap", () => {
    for (const box of boxes()) if (given.has(box.value)) box.checked = given.get(box.value);
    mark();
  });
  function mark() {
    for (const box of boxes()) box.closest(".finding").classList.toggle("finding-confirmed", box.checked);
  }
  place.addEventListener("change", mark);
  // It asks by itself: no answer, no complaint; the next change asks again.
  for (const name of ["htmx:sendError", "htmx:responseError"])
    place.addEventListener(name, (event) => event.stopPropagation());
}
