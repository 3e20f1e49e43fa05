// Talking to the server about a mail that is being written: posts that wait, uploads with progress.
const meta = () => document.querySelector("meta[name=csrf-token]");

function headers(quiet) {
  const head = { "HX-Request": "true", "X-CSRFToken": meta().content };
  if (quiet) head["X-Quiet"] = "1";
  return head;
}

/** Post a form or named values; the answer as {status, text}. Status 0: nobody answered. A file is left to the caller. */
export async function post(url, data, { quiet = false } = {}) {
  let body = data;
  if (!(data instanceof FormData)) {
    body = new FormData();
    for (const [name, value] of Object.entries(data)) body.append(name, value);
  }
  try {
    const answer = await fetch(url, { method: "POST", body, headers: headers(quiet), redirect: "error" });
    const file = (answer.headers.get("Content-Disposition") || "").startsWith("attachment");
    return { status: answer.status, text: file ? "" : await answer.text(), answer };
  } catch {
    return { status: 0, text: "" };
  }
}

/** What the server finds, or null; posted, so that what somebody types stands in no log of addresses that were called. */
export async function find(url, text) {
  const { status, text: found } = await post(url, { q: text }, { quiet: true });
  try {
    return status === 200 ? JSON.parse(found) : null;
  } catch {
    return null;
  }
}

/** Send one file; `progress` is told the share that has gone out. Rejects with a sentence, or with "". */
export function upload(url, file, { picture = false, progress = () => {}, signal = null } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", file, file.name || "image.png");
    if (picture) body.append("picture", "1");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        /* not ours: a proxy's page */
      }
      if (request.status === 200 && answer.token) resolve(answer);
      else reject(answer.error || "");
    });
    request.addEventListener("error", () => reject(""));
    request.addEventListener("abort", () => reject(""));
    signal?.addEventListener("abort", () => request.abort());
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers(false))) request.setRequestHeader(name, value);
    request.send(body);
  });
}
