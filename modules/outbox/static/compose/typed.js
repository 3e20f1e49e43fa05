// What is typed where recipients go, before it becomes chips.

/** How far a text reaches up to its last `;` or `,` outside quotation marks that parts addresses: see `split` on the server. */
export function closed(text) {
  let quoted = false;
  let end = 0;
  let hasAt = false;
  [...text].reduce((at, sign) => {
    if (sign === '"') quoted = !quoted;
    if ("@＠".includes(sign)) hasAt = true;
    // "Last, First <…": what has no @ yet may be the first part of a name.
    if (!quoted && (";；".includes(sign) || (",，".includes(sign) && hasAt))) {
      end = at + sign.length;
      hasAt = false;
    }
    return at + sign.length;
  }, 0);
  return end;
}
