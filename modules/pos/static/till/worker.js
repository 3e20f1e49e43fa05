// Shows the till while the server is away: its page and its files from what they were when they were last seen.
// It acts on the till's pages only, and never on what is posted.
const CACHE = "envoi-till-1";
const PATIENCE_MS = 2500;
const AWAY_MS = 5000; // so long nobody waits for a server again that has just kept somebody waiting
let awayUntil = 0;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) =>
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys())
        if (name.startsWith("envoi-till-") && name !== CACHE) await caches.delete(name);
      await self.clients.claim();
    })(),
  ),
);

// The page says what it is made of: what was loaded before there was a worker.
self.addEventListener("message", (event) => {
  if (!Array.isArray(event.data?.keep)) return;
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      const asked = await Promise.allSettled(
        event.data.keep.map(async (url) => {
          if (new URL(url).origin !== self.location.origin || (await cache.match(url))) return;
          await keep(cache, url, await fetch(url, { credentials: "same-origin" }));
        }),
      );
      if (asked.every(({ status }) => status === "fulfilled")) await dropOthers(cache, event.data.keep);
    })(),
  );
});

/** What was kept, said to be so: the till must not take it for an answer of the server. */
function said(kept) {
  const headers = new Headers(kept.headers);
  headers.set("X-Till-Kept", "1");
  return new Response(kept.body, { status: kept.status, statusText: kept.statusText, headers });
}

async function keep(cache, request, answer) {
  // A sign-in page in place of the till would lock the counter.
  if (answer.ok && !answer.redirected && answer.type === "basic") await cache.put(request, answer.clone());
  return answer;
}

// The addresses of files carry the version of the release: those of other releases go once all of this one are here.
async function dropOthers(cache, kept) {
  const release = (url) => new URL(url).pathname.match(/^\/static\/(~[^/]+)\//)?.[1];
  const present = new Set(kept.map(release).filter(Boolean));
  if (!present.size) return;
  for (const { url } of await cache.keys())
    if (release(url) && !present.has(release(url))) await cache.delete(url, { ignoreVary: true });
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  const isTill = request.mode === "navigate" || /\/till\/\d+\/data$/.test(url.pathname);
  if (!isTill && !url.pathname.startsWith("/static/")) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(CACHE);
      const kept = await cache.match(request, { ignoreVary: true });
      // The address of a file says its version: another version has another address.
      if (kept && url.pathname.startsWith("/static/~")) return kept;
      const asked = fetch(request).then((answer) => {
        awayUntil = 0;
        if (answer.status >= 500 && kept) throw new Error("The server is ill.");
        return keep(cache, request, answer);
      });
      if (!kept) return asked;
      if (Date.now() < awayUntil) {
        asked.catch(() => {});
        return said(kept);
      }
      const patience = new Promise((_resolve, reject) => {
        setTimeout(() => reject(new Error("The server takes too long.")), PATIENCE_MS);
      });
      try {
        return await Promise.race([asked, patience]);
      } catch {
        awayUntil = Date.now() + AWAY_MS;
        asked.catch(() => {});
        return said(kept);
      }
    })(),
  );
});
