// Lets the till open while the server is away; see worker.js.
import { root } from "./page.js";

export async function begin(urls) {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register(urls.worker, { scope: urls.worker.replace("worker.js", "") });
    const { active } = await navigator.serviceWorker.ready;
    const loaded = performance
      .getEntriesByType("resource")
      .map((entry) => entry.name)
      .filter((name) => name.includes("/static/"));
    active.postMessage({ keep: [window.location.href, ...new Set(loaded)] });
    root.dataset.offline = "1";
  } catch {
    /* not over plain HTTP to another machine: then the page must stay open */
  }
}
