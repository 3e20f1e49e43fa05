"""`python -m bench.chaos`: workers killed at random while thousands of mails leave, judged by the server's record.

Several real workers with several connections each, a slow SMTP server that hangs up on all of them now and then, and
SIGKILL again and again at any moment; with `--rough` it also fails in the middle of what is said at once. At the end
nothing may be missing and nothing doubled:

- delivered + uncertain = submitted, by the mails' own states;
- no recipient has got the same mail twice;
- whoever the server has accepted is not called failed, and whoever is called accepted was;
- a kill leaves at most two mails uncertain for each connection: the one in flight and the one whose outcome shares its
  commit; and a server that hangs up, one for each.

It talks to loopback only, ends by itself, and exits with 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bench.promises import database_name, verdict
from core import migrate
from core.companies.service import save_company
from core.db import db, transaction
from core.mail.outcomes import RecipientState
from core.testing.fixtures import running_app, test_settings
from core.testing.services import postgres_server, redis_server
from modules.outbox import service
from modules.outbox.delivery import sweep as sweeping
from modules.outbox.models import MailRecipient, OutgoingMail
from tests.outbox.conftest import draft, make_ready, make_server
from tests.outbox.processes import (
    LEASE_SECONDS,
    WatchedLab,
    Worker,
    acceptances,
    states_of,
    sweep,
    workforce,
)

WAITING = {"queued", "sending", "deferred", "scheduled"}
HANG_SECONDS = 4.0
"""How long a rough server keeps silent."""


class RoughLab(WatchedLab):
    """A server that now and then does not go on, in the middle of what was said to it at once: it says 421 where 354 is
    due, hangs up there or behind it, or keeps silent for a while.
    """

    def __init__(self, *, share: float, chance: random.Random, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share
        self.chance = chance
        self.rough = Counter[str]()

    def _protocol(self) -> Any:
        protocol = super()._protocol()
        push = protocol.push

        async def pushed(status: Any) -> None:
            if not str(status).startswith("354") or self.chance.random() >= self.share:
                await push(status)
                return
            how = self.chance.choice(("421", "drop", "drop behind", "hang"))
            self.rough[how] += 1
            if how == "hang":
                await asyncio.sleep(HANG_SECONDS)
            if how == "421":
                await push("421 4.3.0 Closing the connection")
            if how in {"drop behind", "hang"}:
                await push(status)
            if how != "hang":
                protocol.hang_up()

        protocol.push = pushed
        return protocol


def slow(verb: str, _arg: str, stage: str) -> None:
    """Answer like a server that has other things to do."""
    if stage == "before" or (verb, stage) == ("DATA", "received"):
        time.sleep(0.003)


def broken_promises(ids: list[int], states: list[str], most_uncertain: int, lab: WatchedLab) -> list[str]:
    """Compare what Envoi says with what the server has recorded."""
    counted, taken = Counter(states), acceptances(lab)
    problems = [
        f"{state}: {count} mails" for state, count in counted.items() if state not in {"sent", "uncertain"}
    ]
    if counted["uncertain"] > most_uncertain:
        problems.append(f"{counted['uncertain']} uncertain, and at most {most_uncertain} may be")
    problems += [f"{key} came {count} times" for key, count in taken.items() if count > 1]
    rows = db.session.execute(
        select(OutgoingMail.message_id, MailRecipient.addr_spec, MailRecipient.state)
        .join(MailRecipient)
        .where(OutgoingMail.id.in_(ids))
    ).all()
    for message_id, address, state in rows:
        came = taken[message_id, address]
        if state is RecipientState.ACCEPTED and not came:
            problems.append(f"{address} is called accepted, and got nothing")
        if came and state not in {RecipientState.ACCEPTED, RecipientState.UNCERTAIN}:
            problems.append(f"{address} got it, and is called {state}")
    return problems


def kill_at_random(
    ids: list[int], lab: WatchedLab, hire: Callable[..., Worker], options: argparse.Namespace
) -> int:
    """Kill a worker now and then, hire another, and sweep, until nothing waits; return how many were killed."""
    chance = random.Random(options.seed)  # noqa: S311 (no secret)
    team = [hire() for _ in range(options.workers)]
    give_up = time.monotonic() + options.seconds
    kills, next_kill, next_sweep = 0, 0, 0.0
    drops = [options.mails * (place + 1) // (options.drops + 1) for place in range(options.drops)]
    while time.monotonic() < give_up:
        done = len(lab.accepted)
        if drops and done >= drops[0]:
            del drops[0]
            for protocol in tuple(lab.protocols):
                protocol.hang_up()
        if kills < options.kills and done >= next_kill:
            time.sleep(chance.random() * 0.02)
            place = chance.randrange(len(team))
            team[place].kill()
            team[place] = hire()
            kills += 1
            next_kill = done + max(1, options.mails // (options.kills + 5))
        if time.monotonic() > next_sweep:
            sweep()
            next_sweep = time.monotonic() + 0.5
            if not WAITING & set(states_of(ids)):
                break
        time.sleep(0.01)
    return kills


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--connections", type=int, default=9, help="Of all workers, at once.")
    parser.add_argument("--drops", type=int, default=3, help="How often the server hangs up on all.")
    parser.add_argument(
        "--rough", type=float, default=0, help="Percent of mails in whose middle the server fails."
    )
    parser.add_argument("--seconds", type=int, default=900, help="After which it gives up.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--postgres", action="store_true", help="On PostgreSQL instead of SQLite.")
    options = parser.parse_args()
    sweeping.GRACE *= 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-chaos-")))
        for name in ("redis", "postgres"):
            (folder / name).mkdir()
        changes = {"redis_url": stack.enter_context(redis_server(folder / "redis")), "queue": "chaos"}
        if options.postgres:
            changes["database_url"] = stack.enter_context(postgres_server(folder / "postgres"))
        chance = random.Random(options.seed)  # noqa: S311 (no secret)
        lab = stack.enter_context(RoughLab(share=options.rough / 100, chance=chance, on_command=slow))
        for app in running_app(test_settings(folder, **changes)):
            app.config["OUTBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
            migrate.upgrade(app)
            company = save_company(None, {"name": "Chaos", "email": "a@chaos.example.com", "currency": "EUR"})
            make_ready(make_server(lab, connections=options.connections))
            with transaction():
                ids = [
                    service.write_mail(draft(company, f"a{n}@example.com", f"b{n}@example.com"), None).id
                    for n in range(options.mails)
                ]
                # In chunks, or each would be a job of its own, by one connection.
                service.enqueue_delivery(ids)
            began = time.monotonic()
            with workforce(app, folder / "workers") as hire:
                kills = kill_at_random(ids, lab, hire, options)
            seconds, states = time.monotonic() - began, states_of(ids)
            # A server that hangs up behind its 354 has perhaps got the text that was on its way.
            hung_up = lab.rough["drop behind"]
            most_uncertain = options.connections * (2 * kills + options.drops) + hung_up
            problems = broken_promises(ids, states, most_uncertain, lab)
            database = database_name(postgres=options.postgres)
            return verdict(
                app,
                problems,
                f"{database}, seed {options.seed}: {options.mails} mails, {options.workers} workers with"
                f" {options.connections} connections, {kills} kills, {options.drops} hang-ups, {dict(lab.rough)},",
                f"{seconds:.0f} s; {dict(Counter(states))}; the server took {len(lab.accepted)} messages.",
            )
    return 1


if __name__ == "__main__":
    sys.exit(main())
