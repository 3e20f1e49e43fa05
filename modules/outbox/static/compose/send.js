// Send, send later, or hand over to one's own mail program.
import { post } from "./server.js";

let refused = false;

/** True once after the server has sent the form back. */
export function takeRefusal() {
  const was = refused;
  refused = false;
  return was;
}

export function begin(composer) {
  const { form, urls, pending } = composer;
  const sendAt = form.querySelector("#compose-send-at");
  const when = form.querySelector("[data-when]");

  // What is on its way up, or being read, comes along: Send waits for it, and stays where a file did not arrive.
  let waiting = false;
  form.addEventListener(
    "submit",
    (event) => {
      if (event.submitter?.matches("[data-eml]") || (!pending.size && !form.querySelector(".file-failed")))
        return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (waiting) return;
      waiting = true;
      const words = setTimeout(() => composer.tell(composer.word("waiting")), 300);
      arrived().then((whole) => {
        clearTimeout(words);
        waiting = false;
        if (whole) form.requestSubmit();
      });
    },
    true,
  );
  async function arrived() {
    const results = await Promise.allSettled([...pending]);
    const failed = form.querySelector(".file-failed");
    if (!failed && !results.some(({ value }) => value === false)) return true;
    composer.tell(composer.word("fileMissing"));
    failed?.querySelector("[data-remove-file]").focus();
    return false;
  }
  // What were typed now would be lost when the form comes back.
  form.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target !== form) return;
    form.inert = true;
    form.dispatchEvent(new CustomEvent("compose-sending"));
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.target !== form) return;
    const { status } = event.detail.xhr;
    if (status !== 204) {
      form.inert = false;
      form.querySelector(".send").focus();
    }
    refused = status === 422;
    form.dispatchEvent(new CustomEvent(status === 204 ? "compose-sent" : "compose-not-sent"));
  });

  // Send later: the wall clock of the user's zone, wherever the browser stands.
  function wall(days, hour) {
    const now = Object.fromEntries(
      new Intl.DateTimeFormat("en-CA", {
        timeZone: urls.timezone,
        year: "numeric",
        month: "2-digit",
        day: "2-digit",
      })
        .formatToParts(new Date())
        .map((part) => [part.type, part.value]),
    );
    const day = new Date(Date.UTC(Number(now.year), Number(now.month) - 1, Number(now.day)));
    day.setUTCDate(day.getUTCDate() + days(day.getUTCDay()));
    return `${day.toISOString().slice(0, 10)}T${hour}`;
  }
  const quick = {
    tomorrow: () => wall(() => 1, "08:00"),
    monday: () => wall((weekday) => (8 - weekday) % 7 || 7, "08:00"),
    now: () => "",
  };
  function showWhen() {
    const at = sendAt.value;
    const words =
      at &&
      new Intl.DateTimeFormat(document.documentElement.lang, {
        weekday: "long",
        day: "numeric",
        month: "long",
        hour: "numeric",
        minute: "2-digit",
        timeZone: "UTC",
      }).format(new Date(`${at}Z`));
    when.hidden = !at;
    when.textContent = at ? composer.word("when", { time: words }) : "";
    form.querySelector("[data-send-words]").textContent = composer.word(at ? "sendAt" : "send");
  }
  sendAt.addEventListener("input", () => {
    showWhen();
    composer.changed("time");
  });
  form.addEventListener("click", (event) => {
    const name = event.target.closest("[data-quick-time]")?.dataset.quickTime;
    if (name) {
      sendAt.value = quick[name]();
      showWhen();
      composer.changed("time");
    }
    if (event.target.closest("[data-send-later]")) {
      form.querySelector("#compose-options").open = true;
      sendAt.scrollIntoView({ block: "center" });
      form.querySelector("[data-quick-time]").focus({ preventScroll: true });
    }
  });
  showWhen();

  // One's own mail program: a draft as a link, or as a file; the page stays.
  form.querySelector("[data-eml]")?.addEventListener("click", async (event) => {
    event.preventDefault();
    const button = event.currentTarget;
    if (!(await arrived())) return;
    const data = new FormData(form);
    const made = await fetchDraft(button.getAttribute("formaction"), data);
    if (!made) {
      composer.tell(composer.word("lost"));
      return;
    }
    if (made.html !== undefined) {
      refused = true;
      const page = new DOMParser().parseFromString(made.html, "text/html");
      const fresh = page.querySelector("#composer");
      if (!fresh) {
        composer.tell(composer.word("lost"));
        return;
      }
      window.htmx.swap("#composer", made.html, { swapStyle: "outerHTML" }, { select: "#composer" });
      return;
    }
    if (made.link) {
      window.location.href = made.link; // the page stays: it is a program that opens
      composer.tell(composer.word("linked"));
      return;
    }
    const address = URL.createObjectURL(made.file);
    Object.assign(document.createElement("a"), { href: address, download: made.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    composer.tell(composer.word("downloaded"));
  });
}

async function fetchDraft(url, data) {
  const { answer, status, text } = await post(url, data);
  if (status === 422) return { html: text };
  if (status !== 200) return null;
  if (answer.headers.get("Content-Type").startsWith("application/json")) return JSON.parse(text);
  const name =
    /filename\*?=(?:UTF-8'')?"?([^";]+)/i.exec(answer.headers.get("Content-Disposition") || "")?.[1] ||
    "mail.eml";
  return { file: await answer.blob(), name: decodeURIComponent(name) };
}
