// What is typed where recipients go, before it becomes chips.

/** How far a text reaches up to its last `;` or `,` that stands outside quotation marks. */
export function closed(text) {
  let quoted = false;
  let end = 0;
  [...text].reduce((at, sign) => {
    if (sign === '"') quoted = !quoted;
    if (!quoted && (sign === ";" || sign === ",")) end = at + sign.length;
    return at + sign.length;
  }, 0);
  return end;
}
