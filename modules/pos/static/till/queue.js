// Posts what a till has sold: in order, one at a time, once each – in whatever tab, whenever the server is there.

const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const TIMEOUT_MS = 15000;
const QUESTION_MS = 6000; // whoever stands at the counter waits no longer for an answer
const ILL_ANSWERS = 3; // so often a ticket is posted again that the server cannot take, before the next ones go on

async function ask(url, options = {}, timeout = TIMEOUT_MS) {
  try {
    const answer = await fetch(url, {
      redirect: "manual",
      signal: AbortSignal.timeout(timeout),
      headers: { "X-Quiet": "1", "HX-Request": "true", Accept: "application/json", ...options.headers },
      ...options.more,
    });
    // 204: a session that has ended, to a page that asks by itself. A redirect leads to the sign-in.
    if (answer.type === "opaqueredirect" || [204, 401].includes(answer.status)) return { status: 401 };
    const json = (answer.headers.get("Content-Type") || "").includes("json");
    // The worker of the till shows what it has kept where the server does not answer.
    const kept = answer.headers.has("X-Till-Kept");
    return { status: answer.status, data: json ? await answer.json() : null, kept };
  } catch {
    return { status: 0 };
  }
}

export function begin({ store, urls, token, onState, onSettled, problem }) {
  let failures = 0;
  let timer;
  let running = null;
  let again = false; // something came in while the queue was being posted
  const ill = new Map(); // by order, how often the server has answered with a fault of its own

  const get = (url) => ask(url);
  const post = (url, data, timeout = QUESTION_MS) =>
    ask(
      url,
      {
        headers: { "Content-Type": "application/json", "X-CSRFToken": token.value },
        more: { method: "POST", body: JSON.stringify(data) },
      },
      timeout,
    );

  /** After a sign-in there is another token. */
  async function renew() {
    const { status, data, kept } = await get(urls.data);
    if (status !== 200 || !data || kept) return false;
    token.value = data.csrf;
    return true;
  }

  async function postAll() {
    let posted = 0;
    for (;;) {
      const [ticket] = await store.waiting();
      if (!ticket) return posted;
      const sale = { ...ticket.sale, age_ms: Math.max(0, Date.now() - ticket.at) };
      let { status, data } = await post(urls.tickets, sale, TIMEOUT_MS);
      if ([400, 401].includes(status) && (await renew()))
        ({ status, data } = await post(urls.tickets, sale, TIMEOUT_MS));
      if (status === 200 && data) {
        await store.settle(ticket.order, "posted", data);
        posted += 1;
        onSettled(ticket, data);
      } else if (status === 422 && data) {
        // The server has read it and says no: it stays here, seen, and the next ones are not held up by it.
        await store.settle(ticket.order, "refused", data);
        onSettled(ticket, data);
      } else if (
        (status >= 500 || status === 404 || status === 413) &&
        (ill.get(ticket.order) || 0) + 1 >= ILL_ANSWERS
      ) {
        // Not away, but ill at this ticket: it is set aside, seen, and can be posted again; the next ones go on.
        ill.delete(ticket.order);
        await store.settle(ticket.order, "refused", { problem: problem(status) });
        onSettled(ticket, {});
      } else {
        if (status >= 400) ill.set(ticket.order, (ill.get(ticket.order) || 0) + 1);
        throw Object.assign(new Error("not posted"), { signedOut: [400, 401, 403].includes(status) });
      }
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(kick, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  }

  /** Post what waits, now. Two tabs take turns, so that the order holds. */
  function kick() {
    if (running) {
      again = true;
      return running;
    }
    clearTimeout(timer);
    again = false;
    running = navigator.locks
      .request(`envoi-till-${urls.register}`, postAll)
      .then((posted) => {
        failures = 0;
        if (posted) onState("online"); // with nothing to post nobody has asked
      })
      .catch((error) => {
        onState(error.signedOut ? "signed-out" : "offline");
        failures += 1;
        later();
      })
      .finally(() => {
        running = null;
        if (again) kick();
      });
    return running;
  }

  window.addEventListener("online", kick);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) kick();
  });
  return { kick, get, post, renew };
}
