// Numbers as people type them: the reading of core/numbers.py, for a page that works without the server. The tests give
// the same texts to both.

const LONGEST = 100;
const LARGEST = 11; // digits before the decimals
const ZEROS = [0x0660, 0x06f0, 0x0966, 0x0e50];
const GROUPING = /[\t\u00a0\u2002\u2003\u2007-\u200a\u202f\u3000'’‘ʼ′`´]/g;
const MINUS = /[\u2010-\u2014\u2212\ufe63]/g;
const UNSEEN =
  /\u00ad|\u061c|\u200b|\u200c|\u200d|\u200e|\u200f|[\u202a-\u202e]|\u2060|[\u2066-\u2069]|\ufeff/g;
const THOUSANDS = {
  " ": /^[1-9][0-9]{0,2}(?: [0-9]{2,3})* [0-9]{3}$/,
  ",": /^[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}$/,
  ".": /^[1-9][0-9]{0,2}(?:\.[0-9]{2,3})*\.[0-9]{3}$/,
};
const CANNOT_GROUP = /^(?:0*[.,][0-9]+|[0-9]+[.,][0-9]{1,2})$/;

function plain(text) {
  return text
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u0e50-\u0e59]/g, (digit) => {
      const code = digit.charCodeAt(0);
      return String(code - ZEROS.findLast((zero) => zero <= code));
    })
    .replace(GROUPING, " ")
    .replace(MINUS, "-")
    .replace(UNSEEN, "")
    .replace(/^ +| +$/g, "");
}

function decimalMark(body, marks) {
  const used = [",", "."].filter((mark) => body.includes(mark));
  if (used.length === 2) return body.lastIndexOf(",") > body.lastIndexOf(".") ? "," : ".";
  const [mark] = used;
  if (!mark || body.split(mark).length > 2) return "";
  if (mark === marks.group) {
    if (THOUSANDS[mark].test(body)) return "";
    return CANNOT_GROUP.test(body) ? mark : null;
  }
  return mark;
}

/** What a person has typed, in units of 10^-places; null when it is no number, too large, or has too many decimals. */
export function readTyped(text, places, marks) {
  if ([...text].length > LONGEST) return null;
  const signed = /^([+-]?) ?([0-9 .,]*)$/.exec(plain(text));
  if (!signed) return null;
  const body = signed[2];
  const mark = decimalMark(body, marks);
  if (mark === null) return null;
  const at = mark ? body.indexOf(mark) : body.length;
  const [whole, rest] = [body.slice(0, at), body.slice(at + 1)];
  const group = /[^0-9]/.exec(whole)?.[0];
  const fits = group ? THOUSANDS[group] : /^[0-9]*$/;
  if (!fits.test(whole) || !/^[0-9]*$/.test(rest) || !(whole + rest)) return null;
  const units = (group ? whole.replaceAll(group, "") : whole).replace(/^0+/, "");
  const decimals = rest.replace(/0+$/, "");
  if (units.length > LARGEST || decimals.length > places) return null;
  const value = BigInt((units || "0") + decimals.padEnd(places, "0"));
  return signed[1] === "-" ? -value : value;
}
