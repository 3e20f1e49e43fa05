// What a till keeps in this browser: what it sells, the sale that is being rung up, and every ticket that the server
// does not have yet. Each register has a store of its own.
import { openDB } from "../../vendor/idb/index.js";

const KEPT = 30; // posted tickets that stay to be looked at

/** Whether a receipt was not written or has not arrived, as the server says. */
export const failed = (answer) => Boolean(answer?.problem) || Boolean(answer?.mail?.includes("state-danger"));

export async function openStore(register) {
  const database = await openDB(`envoi-till-${register}`, 1, {
    upgrade(db) {
      db.createObjectStore("values");
      const tickets = db.createObjectStore("tickets", { keyPath: "order", autoIncrement: true });
      tickets.createIndex("client_id", "client_id", { unique: true });
      tickets.createIndex("state", "state");
    },
  });
  // What one tab does, the others show.
  const tabs = new BroadcastChannel(`envoi-till-${register}`);
  return {
    onChange(act) {
      tabs.addEventListener("message", act);
    },
    get: (name) => database.get("values", name),
    set: (name, value) => database.put("values", value, name),

    /** Keep a ticket before anything else happens to it; it has its place in the order then. */
    async add(ticket) {
      await database.add("tickets", { ...ticket, state: "waiting" });
      tabs.postMessage("added");
    },
    waiting: () => database.getAllFromIndex("tickets", "state", "waiting"),
    all: () => database.getAll("tickets"),

    /** The server has it, or does not want it: the address that the receipt went to is forgotten here. */
    async settle(order, state, answer) {
      const done = database.transaction("tickets", "readwrite");
      const ticket = await done.store.get(order);
      if (ticket) {
        // Of one that is posted again the receipt still has to go somewhere.
        const sale = state === "posted" ? { ...ticket.sale, address: "" } : ticket.sale;
        // What arrives after all is told once more should it fail again.
        await done.store.put({ ...ticket, sale, state, answer, seen: ticket.seen && failed(answer) });
      }
      await done.done;
      if (state === "posted") await forget(database);
      tabs.postMessage("settled");
    },
    /** Somebody has looked at these: they are not told again. */
    async see(orders) {
      const done = database.transaction("tickets", "readwrite");
      for (const order of orders) {
        const ticket = await done.store.get(order);
        if (ticket) await done.store.put({ ...ticket, seen: true });
      }
      await done.done;
      tabs.postMessage("seen");
    },
    /** Nothing stays but what the server does not have. */
    async clear() {
      const done = database.transaction(["values", "tickets"], "readwrite");
      const tickets = done.objectStore("tickets");
      await done.objectStore("values").clear();
      for (const order of await tickets.index("state").getAllKeys("posted")) await tickets.delete(order);
      await done.done;
      tabs.postMessage("settled");
    },
    async again(order) {
      const ticket = await database.get("tickets", order);
      if (ticket) await database.put("tickets", { ...ticket, state: "waiting", answer: null });
    },
  };
}

/** Drop the oldest of the tickets that the server has, but for those whose receipt nobody has looked after yet. */
async function forget(database) {
  const posted = await database.getAllFromIndex("tickets", "state", "posted");
  const old = posted.slice(0, Math.max(0, posted.length - KEPT));
  await Promise.all(
    old
      .filter((ticket) => ticket.seen || !failed(ticket.answer))
      .map((ticket) => database.delete("tickets", ticket.order)),
  );
}
