// What the parts of the till share: the page, its words, and how pieces of it are made.

export const root = document.querySelector("[data-till]");
export const find = (name, within = document) => within.querySelector(`[data-${name}]`);
export const language = document.documentElement.lang;
export const numbers = document.documentElement.dataset.numbers || language;
/** What parts the digits of a number as it is typed here; see core/numbers.py. */
export const marks = { decimal: root.dataset.decimal, group: root.dataset.group };
/** A text as it is searched for: without case and accents. */
export const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** A sentence of the page with its values filled in. */
export function word(name, values = {}) {
  const text = root.dataset[`word${name[0].toUpperCase()}${name.slice(1)}`] || name;
  return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const icon = (name) => element("i", { className: `bi bi-${name}`, ariaHidden: "true" });

export function notice(key, text, tone = "warning", ...more) {
  const place = find("notices");
  place.querySelector(`[data-notice="${key}"]`)?.remove();
  if (!text) return;
  const line = element("div", { className: `alert alert-${tone}` }, text, ...more);
  line.dataset.notice = key;
  line.setAttribute("role", tone === "danger" ? "alert" : "status");
  place.append(line);
}
