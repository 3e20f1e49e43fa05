// After a sign-out no customer, name or token of the till stays in this browser. What was sold and is not on the server
// yet does: it is posted when somebody signs in again.
const ours = (name) => name?.startsWith("envoi-till-");

export async function clear() {
  for (const kept of [window.localStorage, window.sessionStorage])
    for (const name of Object.keys(kept).filter(ours)) kept.removeItem(name);
  for (const name of (await window.caches?.keys()) ?? []) if (ours(name)) await window.caches.delete(name);
  const databases = (await window.indexedDB.databases?.()) ?? [];
  if (!databases.some(({ name }) => ours(name))) return;
  const { openStore } = await import("./store.js");
  for (const { name } of databases)
    if (ours(name)) await (await openStore(name.replace("envoi-till-", ""))).clear();
}

// Module scripts are loaded by every page; only the one that follows a sign-out has the mark.
if ("signedOut" in document.body.dataset) {
  await clear();
  document.body.dataset.signedOut = "done";
}
