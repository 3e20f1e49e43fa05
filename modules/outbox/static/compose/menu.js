// The menu of a chip: where to move it, and what else can be done with it (ARIA menu button pattern).
export function begin(composer, chips) {
  const { root } = composer;
  const menu = root.querySelector("#chip-menu");
  const items = () => [...menu.querySelectorAll("[role=menuitem]")].filter((item) => !item.hidden);
  let chip = null;

  function open(of) {
    close();
    chip = of;
    const field = chips.fieldOf(chip);
    const set = (selector, shown) => {
      menu.querySelector(selector).hidden = !shown;
    };
    const { name, address, problem, partner } = chip.dataset;
    const typed = chip.hasAttribute("data-typed");
    menu.querySelector("[data-menu-name]").textContent = name;
    menu.querySelector("[data-menu-address]").textContent = address === name ? "" : address;
    menu.querySelector("[data-menu-problem]").textContent = problem || "";
    set("[data-menu-problem]", problem);
    for (const target of chips.FIELDS) set(`[data-move=${target}]`, target !== field);
    set("[data-leave-out]", !typed && field !== "left_out");
    set("[data-take-away]", typed);
    set("[data-keep-contact]", chip.hasAttribute("data-offer-contact"));
    set("[data-open-partner]", partner);
    if (partner) menu.querySelector("[data-open-partner]").href = partner;
    menu.hidden = false;
    menu.classList.add("show");
    const [here, there] = [root.getBoundingClientRect(), chip.getBoundingClientRect()];
    menu.style.top = `${there.bottom - here.top + 2}px`;
    menu.style.left = `${Math.max(Math.min(there.left - here.left, here.width - menu.offsetWidth), 0)}px`;
    chips.button(chip).setAttribute("aria-expanded", "true");
    items()[0].focus();
  }

  function close({ focus = false } = {}) {
    if (menu.hidden) return;
    menu.hidden = true;
    menu.classList.remove("show");
    const button = chips.button(chip);
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  }

  menu.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape") {
      event.stopPropagation();
      close({ focus: true });
      return;
    }
    if (event.key === "Tab") {
      event.preventDefault();
      close({ focus: true });
      return;
    }
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length).focus();
  });
  menu.addEventListener("click", (event) => {
    const item = event.target.closest("[role=menuitem]");
    if (!item) return;
    const { move } = item.dataset;
    const of = chip;
    close();
    if (move) {
      chips.move(of, move);
      chips.button(of).focus();
    } else if (item.matches("[data-leave-out], [data-take-away]")) chips.takeOut(of);
    else if (item.matches("[data-keep-contact]")) {
      chips.button(of).focus();
      root.dispatchEvent(new CustomEvent("compose-contact", { detail: of }));
    } else chips.button(of).focus();
  });
  document.addEventListener(
    "pointerdown",
    (event) => {
      if (!menu.contains(event.target)) close();
    },
    { signal: composer.signal },
  );
  return { open };
}
