// The arithmetic of a till in whole numbers, to the cent what the server computes (core/totals.py).

/** A decimal as typed or as the server writes it, in units of 10^-places; null when it is none. */
export function read(text, places) {
  const signs = String(text).replace(/[\s\u00a0\u202f]/g, "");
  // Of two marks the first one groups: 1,234.56 and 1.234,56.
  const groups = { ",": /,(?=.*\.)/g, ".": /\.(?=.*,)/g }[/[,.]/.exec(signs)?.[0]];
  const plain = (groups ? signs.replace(groups, "") : signs).replace(",", ".");
  const match = /^(-?)(\d{0,11})(?:\.(\d*))?$/.exec(plain);
  if (!match || (!match[2] && !match[3])) return null;
  const digits = (match[3] || "").replace(/0+$/, "");
  if (digits.length > places) return null;
  const value = BigInt((match[2] || "0") + digits.padEnd(places, "0"));
  return match[1] ? -value : value;
}

/** The same as text with a point, as the server reads it. */
export function write(value, places) {
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, "0");
  return places ? `${sign}${digits.slice(0, -places)}.${digits.slice(-places)}` : `${sign}${digits}`;
}

/** A quotient, a half rounded away from zero. */
function divide(value, by) {
  const half = by / 2n;
  return value < 0n ? -((-value + half) / by) : (value + half) / by;
}

/** What a line comes to: `price` in the smallest unit, `quantity` in thousandths, `discount` in hundredths of a percent. */
export function lineTotal(price, quantity, discount) {
  return divide(price * quantity * (10000n - discount), 1000n * 10000n);
}

/** Amounts as people read them; the currency's own digits, in the language of the page. */
export function formatter(language, { code, places }) {
  const format = new Intl.NumberFormat(language, {
    style: "currency",
    currency: code,
    minimumFractionDigits: places,
    maximumFractionDigits: places,
  });
  return (value) => format.format(Number(write(value, places)));
}
