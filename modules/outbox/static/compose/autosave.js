// Nothing that was typed is lost: kept on the server a moment later, in this browser until the server has it.
import { post } from "./server.js";

const PAUSE_MS = 1000;
const PRESENCE_MS = 20000;
const RETRY_MS = [2000, 4000, 8000, 15000, 30000, 60000];
const SIGN_IN_MS = 4000;
const seen = new Set(); // the forms that this page has had open: what is held of them is theirs

export function begin(composer) {
  const { root, form, urls, pending, signal } = composer;
  if (!urls.urlKeep) return;
  const name = `envoi-draft:${urls.user}:${urls.about}`;
  const line = form.querySelector("#compose-connection");
  let dirty = false;
  let busy = false;
  let away = 0; // how often in a row the server did not answer
  let signedOut = false;
  let renewed = false; // the token was just renewed, since the former one was refused
  let over = false; // sent, discarded or closed
  let offering = false; // something newer stands in the line, and waits for an answer
  let timer;

  function keepHere() {
    if (root.hasAttribute("data-private")) return; // an address in it is not to be kept, in this browser either
    try {
      window.localStorage.setItem(
        name,
        JSON.stringify({
          at: Date.now(),
          entries: [...new FormData(form)].filter(([, value]) => typeof value === "string"),
        }),
      );
    } catch {
      /* full or forbidden: the server has it in a moment */
    }
  }
  const forgetHere = () => window.localStorage.removeItem(name);

  function say(sentence, ...more) {
    if (line.dataset.said === sentence) return;
    line.dataset.said = sentence;
    // Beside “you are signed out” nothing may say that it was kept just now.
    form.querySelectorAll("#compose-presence .presence-kept").forEach((words) => {
      words.hidden = Boolean(sentence);
    });
    line.replaceChildren(
      ...(sentence
        ? [
            Object.assign(document.createElement("i"), {
              className: "bi bi-cloud-slash",
              ariaHidden: "true",
            }),
            ` ${sentence} `,
            ...more,
          ]
        : []),
    );
  }
  const link = (href, words) =>
    Object.assign(document.createElement("a"), {
      href,
      target: "_blank",
      rel: "noopener",
      textContent: words,
    });
  const button = (words, act) => {
    const made = Object.assign(document.createElement("button"), {
      type: "button",
      className: "btn btn-sm btn-link",
      textContent: words,
    });
    made.addEventListener("click", act);
    return made;
  };

  function later(pause) {
    clearTimeout(timer);
    if (!over) timer = setTimeout(keep, pause);
  }

  async function keep() {
    clearTimeout(timer);
    if (over || busy) return;
    if (!dirty && document.hidden) {
      later(PRESENCE_MS);
      return;
    }
    busy = true;
    const writing = dirty;
    dirty = false;
    if (signedOut && !(await signInSeen())) {
      dirty ||= writing;
      busy = false;
      later(SIGN_IN_MS);
      return;
    }
    const keeping = post(urls.urlKeep, new FormData(form), { quiet: !writing });
    composer.keeping = keeping;
    const { status, text } = await keeping;
    busy = false;
    if (over) return;
    if (status === 200) {
      renewed = false;
      // What was refused stays in this browser, and unsaved: the person is told, and decides.
      if (!arrived(text)) {
        dirty ||= writing;
        later(PRESENCE_MS);
        return;
      }
      later(dirty ? PAUSE_MS : PRESENCE_MS);
      return;
    }
    dirty ||= writing;
    // A token of a former session is refused with 400 as well; where a new one does not help, it is something else.
    if ([204, 401].includes(status) || (status === 400 && !renewed)) {
      renewed = status === 400;
      const first = !signedOut;
      signedOut = true;
      later(first ? 0 : SIGN_IN_MS);
      return;
    }
    away += 1;
    if (dirty || away > 1) say(composer.word("keptHere"));
    later(RETRY_MS[Math.min(away, RETRY_MS.length) - 1]);
  }

  /** Return true when there is a session of the same person again; its token is taken. */
  async function signInSeen() {
    const user = await window.envoiRenewToken();
    if (user === urls.user) {
      signedOut = false;
      return true;
    }
    const signIn = link(urls.urlSignIn, composer.word("signInAgain"));
    if (user === "") say(composer.word("signedOut"), signIn);
    else if (user) say(document.body.dataset.messageOther, signIn);
    else say(composer.word("keptHere"));
    return false;
  }

  /** Show what the server says of what was posted; return false where it was not kept. */
  function arrived(html) {
    const made = document.createElement("template");
    made.innerHTML = html;
    const refused = Boolean(made.content.querySelector("[data-not-kept]"));
    if (!dirty && !offering && !refused) forgetHere();
    if (line.dataset.said && !offering) {
      say("");
      composer.tell(composer.word("connected"));
      root.dispatchEvent(new CustomEvent("compose-connected"));
    }
    away = 0;
    const fresh = made.content.querySelector("#compose-presence");
    const old = form.querySelector("#compose-presence");
    if (fresh && old && fresh.textContent.trim() !== old.textContent.trim()) old.replaceWith(fresh);
    return !refused;
  }

  form.addEventListener("compose-changed", () => {
    if (over) return;
    dirty = true;
    keepHere();
    if (!away && !signedOut) later(PAUSE_MS);
  });
  form.addEventListener("compose-sending", () => {
    clearTimeout(timer);
  });
  form.addEventListener("compose-not-sent", () => {
    if (root.isConnected) later(PAUSE_MS);
  });
  form.addEventListener("compose-sent", () => {
    over = true;
    clearTimeout(timer);
    forgetHere();
  });
  const look = () => {
    if (!over && (away || signedOut) && !document.hidden) later(0);
  };
  window.addEventListener("focus", look, { signal });
  window.addEventListener("online", look, { signal });
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", () => {
    over = true;
    clearTimeout(timer);
  });
  // The tab goes: what the last second brought is in this browser, and goes out with the page.
  window.addEventListener(
    "pagehide",
    () => {
      if (over || !dirty || !root.isConnected) return;
      keepHere();
      navigator.sendBeacon(urls.urlKeep, new FormData(form));
    },
    { signal },
  );

  // Closing keeps; the page says so beside the button that opens it again.
  root.addEventListener("compose-closing", () => {
    clearTimeout(timer);
    if (over) return;
    over = true;
    const writing = dirty || pending.size > 0;
    const kept = writing || form.querySelector("#compose-presence")?.hasAttribute("data-kept-at");
    if (writing) {
      // The editor takes what was typed last with the next frame; a file on its way comes when it has arrived.
      const frame = new Promise((done) => {
        requestAnimationFrame(() => setTimeout(done));
      });
      const put = () =>
        post(urls.urlKeep, new FormData(form)).then(({ status, text }) => {
          if (status === 200 && !text.includes("data-not-kept")) forgetHere();
        });
      const late = [...pending];
      const keeping = frame.then(put).then(() => late.length && Promise.allSettled(late).then(put));
      document.dispatchEvent(new CustomEvent("compose-keeping", { detail: keeping }));
    }
    const opener = document.querySelector(`a[hx-get="${urls.url}"]`);
    if (kept && opener && !opener.parentElement.querySelector(".draft-kept")) {
      opener.after(
        Object.assign(document.createElement("span"), {
          className: "draft-kept small-print",
          role: "status",
          textContent: composer.word("keptDraft"),
        }),
      );
    }
  });
  form.addEventListener("click", async (event) => {
    if (event.target.closest("[data-compose-close]") && composer.dialog) {
      event.preventDefault();
      window.bootstrap.Modal.getInstance(composer.dialog).hide();
    } else if (event.target.closest("[data-compose-close]") && (dirty || pending.size)) {
      event.preventDefault();
      await Promise.allSettled([...pending]);
      await post(urls.urlKeep, new FormData(form));
      window.location.assign(event.target.closest("a").href);
    } else if (event.target.closest("[data-compose-anew]")) {
      event.preventDefault();
      if (!window.confirm(composer.word("startAnewSure"))) return;
      await forget();
      reload(urls.urlAnew);
    } else if (event.target.closest("[data-compose-discard]")) {
      const worth = dirty || form.querySelector("#compose-presence")?.hasAttribute("data-kept-at");
      if (worth && !window.confirm(composer.word("discardSure"))) return;
      await forget();
      document.querySelector(".draft-kept")?.remove();
      if (composer.dialog) window.bootstrap.Modal.getInstance(composer.dialog).hide();
      else window.location.assign(form.querySelector("[data-compose-close]").href);
    }
  });
  async function forget() {
    over = true;
    clearTimeout(timer);
    forgetHere();
    await composer.keeping; // or it would come after, and bring back what is discarded
    await post(urls.urlDiscard, { token: form.elements.token.value });
  }
  const reload = (url) =>
    window.htmx.ajax("GET", url, { target: "#composer", select: "#composer", swap: "outerHTML show:none" });

  // Something that never reached the server: offer it.
  function offer() {
    let held = null;
    try {
      held = JSON.parse(window.localStorage.getItem(name));
    } catch {
      forgetHere();
    }
    const keptAt = Number(form.querySelector("#compose-presence")?.dataset.keptAt || 0) * 1000;
    if (!held || held.at <= keptAt) {
      forgetHere();
      return;
    }
    const time = new Intl.DateTimeFormat(document.documentElement.lang, {
      dateStyle: "medium",
      timeStyle: "short",
    }).format(new Date(held.at));
    offering = true;
    say(
      composer.word("newer", { time }),
      button(composer.word("takeNewer"), async () => {
        const data = new FormData();
        for (const [key, value] of held.entries)
          data.append(key, key === "csrf_token" ? form.elements.csrf_token.value : value);
        if ((await post(urls.urlKeep, data)).status !== 200) {
          composer.tell(composer.word("lost"));
          return;
        }
        over = true;
        clearTimeout(timer);
        forgetHere();
        reload(urls.url);
      }),
      button(composer.word("dropNewer"), () => {
        offering = false;
        forgetHere();
        say("");
      }),
    );
  }
  const { value: token } = form.elements.token;
  if (seen.has(token)) {
    dirty = true; // another template, or a form that came back: kept as it is now
    later(PAUSE_MS);
  } else {
    seen.add(token);
    offer();
    later(PRESENCE_MS);
  }
}
