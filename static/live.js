// What is open shows what has changed: each piece with data-live asks for itself by the event "live".
// One question for all of them waits at the server until one has changed; nothing is asked while nobody looks.
(() => {
  "use strict";
  const PAUSE_MS = 400; // between two turns of one page, however much changes
  const AT_ONCE_MS = 1000; // a server that answers sooner that nothing has changed holds no questions back
  const POLL_MS = 5000;
  const SLOWEST_MS = 60000;
  const PLACES = 3; // questions that one browser lets wait; it opens six connections to a server
  const url = document.body.dataset.urlChanges;
  if (!url) return;

  let waiting = null; // what ends the question that waits
  let next = null; // when the next one is asked
  let trouble = 0;
  const pieces = () => [...document.querySelectorAll("[data-live]")];
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

  // A piece that has come or gone, or shows other things now: the question is another one.
  document.addEventListener("htmx:afterSettle", () => {
    if (waiting && waiting.watched !== words(pieces())) waiting.abort();
    else if (!waiting && next === null) ask();
  });
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
