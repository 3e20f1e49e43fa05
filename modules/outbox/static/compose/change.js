// A mail that waits is open here. It stays while this page is; left without saving, it goes back to its place.
import { post } from "./server.js";

const STAY_MS = 60000;

export function begin({ form, urls, signal }) {
  if (!urls.urlPutBack) return;
  let saved = false;
  let written = false;
  const said = () => {
    const data = new FormData();
    data.append("csrf_token", form.elements.csrf_token.value);
    data.append("token", urls.change);
    return data;
  };
  const timer = setInterval(() => {
    if (!saved) post(urls.urlStay, said(), { quiet: true });
  }, STAY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  form.addEventListener("compose-changed", () => {
    written = true;
  });
  form.addEventListener("compose-sent", () => {
    saved = true;
  });
  // What was written here is kept nowhere else: the browser asks before it is lost.
  window.addEventListener(
    "beforeunload",
    (event) => {
      if (written && !saved) event.preventDefault();
    },
    { signal },
  );
  window.addEventListener(
    "pagehide",
    () => {
      // Where it has left meanwhile, this changes nothing.
      if (!saved) navigator.sendBeacon(urls.urlPutBack, said());
    },
    { signal },
  );
}
