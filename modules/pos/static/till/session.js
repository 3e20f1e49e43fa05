// The connection and the session of the register: what the server says about them, and what follows from it.
import { element, find, icon } from "./page.js";

export const STATES_MS = 3000;
const PATIENCE_MS = 1500; // a server that takes longer is told as away: it may stand still for ever
const FRESH_MS = 5 * 60 * 1000; // prices, products and customers are asked for again after so long

export function showConnection(till, state) {
  till.state = state;
  const place = find("connection");
  const [name, tone, words] = {
    online: ["wifi", "success", "online"],
    offline: ["wifi-off", "warning", "offline"],
    "signed-out": ["person-x", "danger", "signedOut"],
  }[state];
  place.className = `till-connection state state-${tone}`;
  const signIn =
    state === "signed-out"
      ? [
          " ",
          element("a", {
            href: `${till.urls.signIn}?next=${encodeURIComponent(window.location.pathname)}`,
            textContent: till.word("signIn"),
            className: "alert-link",
          }),
        ]
      : [];
  if (place.dataset.state !== state) place.replaceChildren(icon(name), ` ${till.word(words)}`, ...signIn);
  place.dataset.state = state;
}

let asking = false;

/** Ask what became of the mails that are shown, and whether the register is still open; one question at a time. */
export async function watch(till) {
  if (document.hidden || asking) return;
  asking = true;
  const patience = setTimeout(() => showConnection(till, "offline"), PATIENCE_MS);
  try {
    await look(till);
  } finally {
    clearTimeout(patience);
    asking = false;
  }
}

async function look(till) {
  const ids = till.tickets.moving();
  const { status, data } = await till.queue.post(till.urls.states, { tickets: ids });
  if (status === 200 && data) {
    till.token.value = data.csrf;
    const was = till.session;
    till.session = data.session;
    if (was && !data.session) till.closedBy = data.closed_by;
    if (data.session) till.closedBy = "";
    till.tickets.update(data.tickets);
    if (till.state !== "online") till.queue.kick();
    showConnection(till, "online");
    showSession(till);
    refresh(till);
  } else {
    showConnection(till, [400, 401, 403].includes(status) ? "signed-out" : "offline");
  }
}

/** What is sold and to whom may have changed since the page was opened; lines that were rung up keep their price. */
async function refresh(till) {
  if (Date.now() - till.freshAt < FRESH_MS || document.querySelector("dialog[open]")) return;
  till.freshAt = Date.now();
  const { status, data, kept } = await till.queue.get(till.urls.data);
  if (status !== 200 || kept || document.querySelector("dialog[open]")) return;
  till.data = data;
  till.token.value = data.csrf;
  await till.store.set("data", data);
  for (const part of [till.products, till.customers, till.payment]) part.fill();
}

export function showSession(till) {
  const { session } = till;
  if (session) till.lastSession = session.id; // closed elsewhere, the server knows what to do with what is sold
  find("session-link")?.toggleAttribute("hidden", !session);
  if (till.closedBy !== undefined && till.closedBy !== "" && !session) {
    till.notice("session", till.word("closed", { name: till.closedBy }));
    return;
  }
  if (!session) {
    till.notice(
      "session",
      till.word("notOpen"),
      "warning",
      " ",
      till.element("a", { href: till.urls.open, textContent: till.word("openIt"), className: "alert-link" }),
    );
    return;
  }
  // The server says so: the clock of a counter may be years away.
  const date = new Intl.DateTimeFormat(till.language, { dateStyle: "long", timeZone: "UTC" }).format(
    new Date(`${session.opened_on}T00:00:00Z`),
  );
  till.notice(
    "session",
    session.of_another_day ? till.word("yesterday", { date }) : "",
    "warning",
    " ",
    till.element("a", { href: session.url, textContent: till.word("showIt"), className: "alert-link" }),
  );
}
