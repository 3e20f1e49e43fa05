// The tickets of this till: those that wait for the server, those it has, and what became of their receipts.
import { failed } from "./store.js";

export function begin(till) {
  const { find, element, word, store } = till;
  const dialog = find("tickets-dialog");
  const place = find("tickets");
  const count = find("waiting-count");
  let tickets = [];
  const unseenOnes = () =>
    tickets.filter((ticket) => ticket.state === "posted" && failed(ticket.answer) && !ticket.seen);
  const onItsWay = (answer) => Boolean(answer?.mail) && !/state-(success|danger)/.test(answer.mail);

  async function load() {
    tickets = (await store.all()).reverse();
    const waiting = tickets.filter((ticket) => ticket.state === "waiting").length;
    // Those that the server does not want, and those whose receipts nobody has got.
    const refused = tickets.filter((ticket) => ticket.state === "refused" || failed(ticket.answer)).length;
    count.hidden = !waiting && !refused;
    count.textContent = waiting + refused;
    count.className = `badge ${refused ? "text-bg-danger" : "text-bg-secondary"}`;
    count.setAttribute("aria-label", `${waiting + refused} ${word(refused ? "refused" : "waiting")}`);
    if (dialog.open) await see();
    tell();
    if (dialog.open) show();
  }

  /** The walk-ins may still be there: the till says which receipts were refused, until somebody has looked. */
  function tell() {
    const unseen = unseenOnes();
    const [ticket] = unseen;
    const look = element("button", {
      type: "button",
      className: "btn btn-sm btn-outline-danger",
      textContent: word("showIt"),
    });
    look.addEventListener("click", open);
    till.notice(
      "receipt",
      unseen.length > 1
        ? word("receiptsRefused", { count: unseen.length })
        : ticket
          ? word("receiptRefused", { number: ticket.answer.number ?? "" })
          : "",
      "danger",
      " ",
      look,
    );
  }
  async function see() {
    const unseen = unseenOnes();
    if (!unseen.length) return;
    for (const ticket of unseen) ticket.seen = true;
    await store.see(unseen.map((ticket) => ticket.order));
  }
  async function open() {
    dialog.showModal();
    await load();
  }

  function state(ticket) {
    if (ticket.state === "posted") {
      const { answer } = ticket;
      const cell = element("span", { className: "till-ticket-mail" });
      cell.innerHTML = answer.mail; // made by the server
      if (answer.problem)
        cell.append(
          element("span", {
            className: "text-danger",
            textContent: word("receiptFailed", { why: answer.problem }),
          }),
        );
      return cell;
    }
    const [tone, sign, name] =
      ticket.state === "refused"
        ? ["danger", "x-octagon-fill", "refused"]
        : ["info", "hourglass-split", "waiting"];
    return element("span", { className: `state state-${tone}` }, till.icon(sign), ` ${word(name)}`);
  }

  function show() {
    const time = new Intl.DateTimeFormat(till.language, { timeStyle: "short" });
    place.replaceChildren(
      ...tickets.map((ticket) => {
        const { answer } = ticket;
        const number = answer?.number
          ? element("a", { href: answer.url, textContent: answer.number })
          : element("span", { textContent: "—" });
        const line = element(
          "li",
          {},
          element("time", { textContent: time.format(new Date(ticket.at)) }),
          number,
          element("span", { className: "number", textContent: ticket.total }),
          state(ticket),
        );
        if (answer?.pdf)
          line.append(
            element(
              "a",
              {
                className: "btn btn-sm btn-outline-secondary",
                href: answer.pdf,
                target: "_blank",
                rel: "noopener",
              },
              till.icon("printer"),
              ` ${word("receipt")}`,
            ),
          );
        if (ticket.state === "refused") {
          const again = element("button", {
            type: "button",
            className: "btn btn-sm btn-outline-secondary",
            textContent: word("again"),
          });
          again.addEventListener("click", async () => {
            await store.again(ticket.order);
            await load();
            till.queue.kick();
          });
          line.append(
            element("span", { className: "text-danger", textContent: answer?.problem || "" }),
            again,
          );
        }
        return line;
      }),
    );
    if (!tickets.length)
      place.replaceChildren(element("li", { className: "muted", textContent: word("noReceipts") }));
  }

  find("show-tickets").addEventListener("click", open);
  load();
  store.onChange(load);
  return {
    added: load,
    settled: load,
    /** Ids of the tickets whose mails are asked about: the newest, all whose receipt is on its way, more while shown. */
    moving: () =>
      tickets
        .filter((ticket) => ticket.state === "posted" && ticket.answer?.id)
        .filter((ticket, at) => at < (dialog.open ? 30 : 5) || onItsWay(ticket.answer))
        .map((ticket) => ticket.answer.id),
    async update(answers) {
      const by = new Map(answers.map((answer) => [answer.client_id, answer]));
      const changed = tickets.filter(
        (ticket) =>
          ticket.state === "posted" &&
          by.has(ticket.client_id) &&
          by.get(ticket.client_id).mail !== ticket.answer.mail,
      );
      for (const ticket of changed) {
        const now = by.get(ticket.client_id);
        await store.settle(ticket.order, "posted", now);
      }
      if (changed.length) await load();
    },
  };
}
