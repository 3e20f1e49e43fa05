// The arithmetic of a till in whole numbers, to the cent what the server computes (core/totals.py).

/** A decimal as the server writes it, in units of 10^-places; what people type is read by numbers.js. */
export function read(text, places) {
  const [, sign, whole, decimals = ""] = /^(-?)([0-9]+)(?:\.([0-9]*))?$/.exec(text);
  const value = BigInt(whole + decimals.padEnd(places, "0").slice(0, places));
  return sign ? -value : value;
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
