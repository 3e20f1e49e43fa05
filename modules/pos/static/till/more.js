// Products and customers beyond those that the page got when it was opened.

export const PAUSE_MS = 250; // after the last key, before the server is asked

/** What the page does not have at hand: of very many products or customers it got the first only. */
export async function findMore(till, what, text) {
  const { status, data } = await till.queue.post(till.urls.find, { what, text });
  if (status !== 200) return false;
  const known = new Set(till.data[what].map((one) => one.id));
  const more = data.filter((one) => !known.has(one.id));
  till.data[what].push(...more);
  return more.length > 0;
}
