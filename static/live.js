// What is open shows what has changed: each piece with data-live asks for itself by the event "live", and leaves alone
// whoever is using it.
// One question for all of them waits at the server until one has changed; nothing is asked while nobody looks.
(() => {
  "use strict";
  const PAUSE_MS = 400; // between two turns of one page, however much changes
  const AT_ONCE_MS = 1000; // a server that answers sooner that nothing has changed holds no questions back
  const POLL_MS = 5000;
  const SLOWEST_MS = 60000;
  const AGAIN_MS = 500; // until it is looked anew whether a piece is still being used
  const FAILED_MS = 10000; // until a piece whose refresh has failed is told of anything
  const SETTLED_MS = 60; // after which htmx is done with an answer
  const PLACES = 3; // questions that one browser lets wait; it opens six connections to a server
  const url = document.body.dataset.urlChanges;
  if (!url) return;

  let waiting = null; // what ends the question that waits
  let next = null; // when the next one is asked
  let trouble = 0;
  // Whose turn comes later: they know already that something has changed.
  const resting = new WeakSet();
  const pieces = () =>
    [...document.querySelectorAll("[data-live]:not(.htmx-request)")].filter((piece) => !resting.has(piece));
  const words = (found) => found.map((piece) => piece.dataset.live).join("\n");

  function later(pause) {
    clearTimeout(next);
    next = setTimeout(ask, pause);
  }

  async function ask() {
    next = null;
    const watched = pieces();
    if (waiting || document.hidden || !watched.length) return;
    const question = new AbortController();
    question.watched = words(watched);
    waiting = question;
    let pause = PAUSE_MS;
    const leave = await place(question.signal);
    try {
      const began = performance.now();
      const answer = await fetch(leave ? url : `${url}?now`, {
        method: "POST",
        headers: { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, "X-Quiet": "1" },
        body: new URLSearchParams(
          watched.flatMap((piece) => [
            ["since", piece.dataset.since],
            ["topics", piece.dataset.live],
          ]),
        ),
        redirect: "error",
        signal: question.signal,
      });
      if (answer.status !== 200) throw new Error(String(answer.status));
      const { now, fired } = await answer.json();
      trouble = 0;
      // From here on, whatever asks for itself sees everything up to there.
      for (const piece of watched) piece.dataset.since = now;
      for (const position of fired) window.htmx.trigger(watched[position], "live");
      if (!leave || (!fired.length && performance.now() - began < AT_ONCE_MS)) pause = POLL_MS;
    } catch {
      if (!question.signal.aborted) pause = Math.min(POLL_MS * 2 ** trouble++, SLOWEST_MS);
    } finally {
      leave?.();
      waiting = null;
      later(pause);
    }
  }

  // Of all windows of a browser a few wait; the others ask now and then, so that connections are left for pages.
  function place(signal) {
    if (!navigator.locks) return Promise.resolve(() => {});
    const take = (number) =>
      new Promise((found) => {
        navigator.locks
          .request(`envoi-live-${number}`, { ifAvailable: true }, (lock) => {
            if (!lock || signal.aborted) return found(null);
            return new Promise((leave) => found(leave));
          })
          .catch(() => found(null));
      });
    return [...Array(PLACES).keys()].reduce(
      async (before, number) => (await before) || take(number),
      Promise.resolve(null),
    );
  }

  // -- what is used is left alone ----------------------------------------------------------------------------

  function differs(field) {
    if (["checkbox", "radio"].includes(field.type)) return field.checked !== field.defaultChecked;
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    const given = [...field.options].find((option) => option.defaultSelected) ?? field.options[0];
    return given !== undefined && field.value !== given.value;
  }
  // True where something was typed and not sent, is on its way, or lies open.
  function inUse(root) {
    if (root.querySelector(".dropdown-menu.show, .modal.show, dialog[open], form[data-sent], button:active"))
      return true;
    if (root.contains(document.activeElement) && document.activeElement.isContentEditable) return true;
    return [...root.querySelectorAll("input:not([type=hidden]), textarea, select")].some(differs);
  }
  const typedIn = (piece) =>
    piece.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

  function rest(piece, until, then) {
    resting.add(piece);
    setTimeout(function look() {
      if (!piece.isConnected) return;
      if (!until()) return setTimeout(look, AGAIN_MS);
      resting.delete(piece);
      then();
    }, AGAIN_MS);
  }

  // What has the focus, in words that the same thing of the next answer has as well.
  const nameOf = (element) =>
    [element.tagName, element.form?.action, element.href, element.textContent.trim()].join(" ");
  let focused = null;
  let opened = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { elt: piece, target } = event.detail;
    if (!piece.matches("[data-live]") || piece !== target || !event.detail.shouldSwap) return;
    const used = () => inUse(piece) || typedIn(piece);
    if (used()) {
      event.detail.shouldSwap = false;
      rest(
        piece,
        () => !used() && !document.hidden,
        () => window.htmx.trigger(piece, "live"),
      );
      return;
    }
    const inside = piece.contains(document.activeElement) && !document.activeElement.id;
    focused = inside ? nameOf(document.activeElement) : null;
    opened = [...piece.querySelectorAll("details[open][id]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    for (const id of opened) {
      const details = document.getElementById(id);
      if (details && !details.open) details.open = true;
    }
    if (focused && document.activeElement === document.body) {
      const all = [...event.detail.elt.querySelectorAll("a, button, summary")];
      all.find((element) => nameOf(element) === focused)?.focus({ preventScroll: true });
    }
    opened = [];
    focused = null;
  });
  // A piece that could not be asked for stays as it is; one that is not there any more, for good.
  document.addEventListener("htmx:afterRequest", (event) => {
    const piece = event.detail.elt;
    if (!piece.matches("[data-live]") || event.detail.successful) return;
    if ([403, 404].includes(event.detail.xhr?.status)) piece.removeAttribute("data-live");
    else {
      const end = Date.now() + FAILED_MS;
      rest(piece, () => Date.now() > end, reconsider);
    }
  });
  // More than a piece is another one now: the page is loaded anew, once nobody would lose anything by it.
  document.addEventListener("page-anew", () => {
    (function look() {
      if (inUse(document.body)) setTimeout(look, AGAIN_MS);
      else window.location.reload();
    })();
  });

  // A piece that has come or gone, or shows other things now: the question is another one.
  function reconsider() {
    if (waiting && waiting.watched !== words(pieces())) waiting.abort();
    else if (!waiting && next === null) ask();
  }
  document.addEventListener("htmx:afterSettle", reconsider);
  document.addEventListener("htmx:afterRequest", () => setTimeout(reconsider, SETTLED_MS));
  // Nobody looks: what refreshes by the clock waits for its next turn.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-quiet][hx-trigger*=every]"))
      event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) waiting?.abort();
    else later(0);
  });
  ask();
})();
