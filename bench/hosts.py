"""`python -m bench.hosts`: web, workers and scheduler on hosts of their own, in network namespaces.

First how many mails a second 1, 2 and 4 workers send that stand on as many hosts, with PostgreSQL, Redis and the mail
server on another; each mail with a PDF of 36 KB, in the store that is named; each answer of the mail server comes 40 ms
later. Then hosts are killed, cut off, and kept from PostgreSQL or Redis alone, again and again while mails are sent,
and come back. At the end, by the mail server's own record, no mail is lost and none went twice.

Needs root, and the commands `ip`, `unshare` and `nsenter`.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import smtplib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import func, select

from bench.promises import verdict
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, end_reading, transaction
from core.embedded import free_port
from core.mail.draft import DraftAttachment
from core.pulse import Part, pulse
from core.testing.fixtures import running_app
from modules.outbox import service
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.hosts import DATABASE, MAIL, QUEUE, Host, Network, can_make_namespaces
from tests.outbox.conftest import draft, make_ready, make_server
from tests.outbox.processes import acceptances, eventually, settled, states_of

PDF = b"%PDF-1.4\n" + os.urandom(36_000)


def submit(company: Company, count: int, mark: str) -> list[int]:
    """Write mails, all in one transaction, and put them on the queue."""
    sha256, ids = file_store().put(PDF), []
    with transaction():
        for number in range(count):
            made = draft(company, f"{mark}-{number}@example.com")
            made.attachments.append(DraftAttachment("document.pdf", "application/pdf", sha256, len(PDF)))
            ids.append(service.write_mail(made, None).id)
        service.enqueue_delivery(ids)
    return ids


def left() -> int:
    settled_ones = [MailState.SENT, MailState.CANCELED, MailState.UNCERTAIN]
    count = db.session.scalar(
        select(func.count()).select_from(OutgoingMail).where(OutgoingMail.state.not_in(settled_ones))
    )
    end_reading()
    return count or 0


def throughput(net: Network, company: Company, mails: int, workers: Sequence[int]) -> list[str]:
    """Return a line for each number of workers, each on a host of its own."""
    found, port = [], free_port()
    sink = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port), "0.04", net.address(MAIL)])
    server = make_ready(make_server(net.lab, host=net.address(MAIL), port=port, connections=20))
    try:
        for count in workers:
            hosts = net.hosts[:count]
            for host in hosts:
                host.start("worker")
            eventually(lambda count=count: pulse().alive.get(Part.WORKER) == count, "the workers are alive")
            with smtplib.SMTP(net.address(MAIL), port, timeout=10) as watcher:
                before = int(watcher.docmd("COUNT")[1])
                submit(company, mails, f"w{count}")
                first = ended = 0.0
                seen = 0
                while not ended:
                    done, now = int(watcher.docmd("COUNT")[1]) - before, time.monotonic()
                    if done and not first:
                        first, seen = now, done
                    if done >= mails:
                        ended = now
                    time.sleep(0.01)
            rate = (mails - seen) / (ended - first)
            eventually(lambda: not left(), "all is settled")
            found.append(f"{count} workers on {count} hosts: {rate:.0f} mails a second")
            print(found[-1], flush=True)
            for host in hosts:
                host.kill()
    finally:
        sink.terminate()
        sink.wait(10)
        with transaction():
            server.active = False
    return found


class Misfortune:
    """What befalls a host, and how it ends.

    Args:
        net: The hosts.
        chance: Decides.
    """

    def __init__(self, net: Network, chance: random.Random) -> None:
        self._net, self._chance = net, chance
        self.happened: Counter[str] = Counter()

    def strike(self, host: Host) -> None:
        """Let something befall a host, and end it after some seconds."""
        kind = self._chance.choice(["killed", "cut off", "without PostgreSQL", "without Redis"])
        self.happened[kind] += 1
        pause = self._chance.uniform(1, 8)
        match kind:
            case "killed":
                commands = [process.args for process in host.processes]
                host.kill()
                time.sleep(pause)
                for arguments in commands:
                    host.start(*arguments)
            case "cut off":
                host.cut_off()
                time.sleep(pause)
                host.bring_back()
            case _:
                number = DATABASE if kind == "without PostgreSQL" else QUEUE
                host.lose(number)
                time.sleep(pause)
                host.find(number)


def under_fire(
    net: Network, company: Company, rounds: int, chance: random.Random
) -> tuple[list[str], list[str]]:
    """Strike hosts while mails are sent; return what happened, and each promise that was broken."""
    make_ready(make_server(net.lab, connections=8))
    for number, host in enumerate(net.hosts):
        host.start("worker" if number else "scheduler")
        if number == len(net.hosts) - 1:
            host.start("scheduler")
    eventually(lambda: pulse().alive.get(Part.SCHEDULER) == 2, "both schedulers are alive")
    misfortune, ids = Misfortune(net, chance), []
    for number in range(rounds):
        ids += submit(company, 40, f"r{number}")
        misfortune.strike(chance.choice(net.hosts))
    began = time.monotonic()
    eventually(lambda: settled(states_of(ids)), "all is settled", timeout=300, pause=0.5)
    waited, states = time.monotonic() - began, Counter(states_of(ids))
    taken = acceptances(net.lab)
    twice = [key for key, times in taken.items() if times > 1]
    broken = [f"{key} was taken {taken[key]} times" for key in twice]
    sent = {
        mail.message_id for mail in db.session.scalars(select(OutgoingMail).where(OutgoingMail.id.in_(ids)))
        if mail.state is MailState.SENT
    }  # fmt: skip
    got = {key[0] for key in taken}
    broken += [f"{one} is called sent, and was not taken" for one in sent if one not in got]
    if set(states) - {"sent", "uncertain"}:
        broken.append(f"states: {dict(states)}")
    happened = ", ".join(f"{count} × {kind}" for kind, count in sorted(misfortune.happened.items()))
    return [
        f"{len(ids)} mails, {happened}: {dict(states)}, settled {waited:.0f} s after the last",
    ], broken


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--files", default="database", help="As ENVOI_FILES; `shared` for a folder.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args()
    if not can_make_namespaces():
        raise SystemExit("Network namespaces cannot be made: run it as root, with iproute2 and util-linux.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-hosts-")))
        files = f"folder:{folder / 'shared'}" if options.files == "shared" else options.files
        net = stack.enter_context(Network(folder, apart=True, ENVOI_FILES=files))
        for number in range(max([4, *options.workers])):
            net.host(f"host-{number + 1}")
        code, said = net.hosts[0].run("db", "upgrade")
        if code:
            raise SystemExit(said)
        app = stack.enter_context(contextmanager(running_app)(net.settings))
        company = save_company(
            None, {"name": "Bench", "email": "sales@maison.example.com", "currency": "EUR"}
        )
        end_reading()
        lines = [f"seed {options.seed}, files: {options.files}"]
        lines += throughput(net, company, options.mails, options.workers)
        happened, broken = under_fire(net, company, options.rounds, random.Random(options.seed))  # noqa: S311
        return verdict(app, broken, *lines, *happened)


if __name__ == "__main__":
    sys.exit(main())
