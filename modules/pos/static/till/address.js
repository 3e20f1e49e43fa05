// What is typed as an email address at the counter: whether it can be one, and what was probably meant.

const DOMAINS = {
  fr: [
    "gmail.com",
    "orange.fr",
    "free.fr",
    "hotmail.fr",
    "yahoo.fr",
    "wanadoo.fr",
    "sfr.fr",
    "laposte.net",
    "outlook.fr",
    "icloud.com",
    "hotmail.com",
    "outlook.com",
    "live.fr",
    "bbox.fr",
    "yahoo.com",
  ],
  en: [
    "gmail.com",
    "outlook.com",
    "hotmail.com",
    "yahoo.com",
    "icloud.com",
    "hotmail.co.uk",
    "yahoo.co.uk",
    "btinternet.com",
    "live.co.uk",
    "aol.com",
    "me.com",
    "sky.com",
    "talktalk.net",
    "virginmedia.com",
  ],
};
const ENDINGS = ["com", "fr", "net", "org", "co.uk", "be", "ch", "de", "eu", "uk"];
const SHAPE = /^[^\s@"(),:;<>[\]\\]{1,64}@[^\s@"(),:;<>[\]\\]+\.[^\s@"(),:;<>[\]\\.]{2,}$/u;

/** The usual domains where a language is spoken, whatever country stands behind it. */
export const domains = (language) => DOMAINS[language.split("-")[0]] || DOMAINS.en;

export function couldBe(text) {
  return SHAPE.test(text) && !text.includes("..") && !/^\.|\.@|@[.-]|-\./.test(text) && text.length <= 254;
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
  const known = [...new Set([...domains(language), ...DOMAINS.fr, ...DOMAINS.en])];
  if (known.includes(domain)) return "";
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
  if (!best) {
    const dot = domain.indexOf(".");
    const ending = domain.slice(dot + 1);
    if (dot > 0 && !ENDINGS.includes(ending) && ending.length > 1) {
      const near = ["com", "net", "org"].find((one) => distance(ending, one) === 1 && ending.length >= 3);
      if (near) best = `${domain.slice(0, dot)}.${near}`;
    }
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
