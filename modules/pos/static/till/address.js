// What is typed as an email address at the counter: whether it can be one, and what was probably meant.

// What is usual is told by the server (core/mail/mistyped.py), which looks at the addresses of the composer.
const usual = { domains: { en: [], fr: [] }, endings: [], true_neighbors: [] };

/** Take the domains that are usual, as the server tells them. */
export const know = (told) => Object.assign(usual, told);

const UNSEEN =
  /\u00ad|\u034f|\u061c|[\u180b-\u180e]|\u200b|\u200e|\u200f|[\u202a-\u202e]|[\u2060-\u2064]|[\u2066-\u206f]|[\ufe00-\ufe0f]|\ufeff/g;
const QUOTES = { "'": "'", "‘": "’", "“": "”", "„": "“", "«": "»", "‹": "›", '"': '"', "`": "`" };
const BRACKETS = { "(": ")", "[": "]", "{": "}" };
const SHAPE = /^[^\s@"(),:;<>[\]\\]{1,64}@[^\s@"(),:;<>[\]\\]+\.[^\s@"(),:;<>[\]\\.]{2,}$/u;

/** An address without what came along with it: the same as `normalize` on the server, as far as people type it here. */
export function cleaned(text) {
  let spec = text
    .replace(UNSEEN, "")
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/\ufe6b/g, "@")
    .replace(/[\u3002\uff61]/g, ".")
    .trim();
  const bracketed = /<([^<>]*)>\s*[.…]?$/.exec(spec);
  const commented = /^([^\s()<>"@]+@[^\s()<>"@]+)\s*\([^()]*\)$/.exec(spec);
  spec = (bracketed?.[1] ?? commented?.[1] ?? spec).trim().replace(/^<|>$/g, "");
  if (spec.length > 2 && ({ ...QUOTES, ...BRACKETS }[spec[0]] ?? "") === spec.at(-1))
    spec = spec.slice(1, -1).trim();
  if (/^mailto:/i.test(spec)) [spec] = spec.slice("mailto:".length).split("?");
  return spec.replace(/\.$/, "").replace(/…$/, "").normalize("NFC");
}

/** The usual domains where a language is spoken, whatever country stands behind it. */
export const domains = (language) => usual.domains[language.split("-")[0]] || usual.domains.en;

export function couldBe(text) {
  const spec = cleaned(text);
  return (
    SHAPE.test(spec) &&
    !spec.includes("..") &&
    !/^\.|\.@|@[.-]|-\.|-$|\.[0-9]+$/.test(spec) &&
    spec.length <= 254
  );
}

/** How many signs differ: one that is missing, too many, another, or swapped with its neighbor counts one. */
export function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i += 1) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j += 1) {
      rows[i][j] = Math.min(
        rows[i - 1][j] + 1,
        rows[i][j - 1] + 1,
        rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}

/** What was probably meant, or "" where nothing looks like a slip. */
export function meant(text, language) {
  const at = text.lastIndexOf("@");
  if (at < 1 || at === text.length - 1) return "";
  const [local, domain] = [text.slice(0, at), text.slice(at + 1).toLowerCase()];
  const known = [...new Set([...domains(language), ...usual.domains.fr, ...usual.domains.en])];
  if (known.includes(domain) || usual.true_neighbors.includes(domain) || domain.length > 64) return "";
  const dot = domain.indexOf(".");
  const name = dot < 0 ? domain : domain.slice(0, dot);
  const ending = dot < 0 ? "" : domain.slice(dot + 1);
  if (name === "gmail") return `${local}@gmail.com`;
  if (usual.endings.includes(ending) && known.some((one) => one.split(".")[0] === name)) return "";
  let best = "";
  let least = 3;
  for (const candidate of known) {
    // A short domain has many neighbors: free.fr must not be offered for tree.fr's owner at two signs away.
    const most = candidate.length < 8 ? 1 : 2;
    const count = distance(domain, candidate);
    if (count <= most && count < least) {
      best = candidate;
      least = count;
    }
  }
  if (!best && dot > 0 && ending.length >= 3 && !usual.endings.includes(ending)) {
    const near = ["com", "net", "org"].find((one) => distance(ending, one) === 1);
    if (near) best = `${name}.${near}`;
  }
  return best ? `${local}@${best}` : "";
}

/** Whole addresses to choose from while somebody types the part behind the @. */
export function completions(text, language) {
  const at = text.lastIndexOf("@");
  if (at < 1) return [];
  const begun = text.slice(at + 1).toLowerCase();
  return domains(language)
    .filter((domain) => domain.startsWith(begun) && domain !== begun)
    .slice(0, 6)
    .map((domain) => `${text.slice(0, at)}@${domain}`);
}
