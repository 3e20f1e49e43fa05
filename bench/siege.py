"""`python -m bench.siege`: many documents sent together while web, workers and Redis are killed, judged by the server.

Two people send the same documents by the pages of a house at the same time, one of them all of a customer in one mail;
their runs are prepared while the web server dies, paused, continued, stopped half way, and what has not gone is sent by
a third. Web, workers and Redis get SIGKILL again and again, at any moment. At the end, by the SMTP server's own record:

- each document went once, or is called uncertain; none is lost, none went twice;
- whoever is called accepted was, and whoever was is called so, or uncertain;
- the numbers on the pages are those of the rows, and the end of a run was told once.

It talks to loopback only, ends by itself, and exits with 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from sqlalchemy import func, select

from bench.promises import database_name, verdict
from core import clock, migrate
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db
from core.partners.service import save_partner
from core.testing.fixtures import PASSWORD, running_app, test_settings
from core.testing.services import RedisServer, postgres_server
from modules.outbox.delivery import sweep as sweeping
from modules.outbox.models import OutgoingMail
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.faults.siege import Hesitant, Person, Siege, broken_promises, send_all_under_fire
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import LEASE_SECONDS, acceptances, workforce

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.siege", description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=40, help="Beside those that belong to the story.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--postgres", action="store_true", help="On PostgreSQL instead of SQLite.")
    options = parser.parse_args()
    sweeping.GRACE *= 0
    sweeping.ASK_AGAIN /= 60
    sweeping.LONG_QUEUE = 10_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-siege-")))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.stop)
        changes = {"redis_url": redis.url, "queue": "siege"}
        if options.postgres:
            (folder / "postgres").mkdir()
            changes["database_url"] = stack.enter_context(postgres_server(folder / "postgres"))
        lab = stack.enter_context(Hesitant())
        for app in running_app(test_settings(folder, **changes)):
            app.config["OUTBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
            migrate.upgrade(app)
            company = save_company(None, {"name": "Siege", "email": "a@siege.example.com", "currency": "EUR"})
            make_ready(make_server(lab, connections=8))
            users = [
                save_user(
                    None,
                    login=f"{name}@siege.example.com",
                    name=name,
                    roles=["salesperson"],
                    company_ids=[company.id],
                    language="en",
                    password=PASSWORD,
                )
                for name in ("first", "second")
            ]
            for number in range(options.documents):
                if number % 6 in {0, 2, 5}:  # two documents of one customer, three of another, one of a third
                    address = f"c{number}@example.com"
                    values = {"name": f"Customer {number}", "email": address, "language": "en"}
                    customer = save_partner(None, values)
                orders.create_quotation(
                    company, orders.QuotationValues(customer.id, clock.day_in("UTC"), LINES), users[0]
                )
            db.session.rollback()
            with workforce(app, folder / "workers") as hire:
                siege = Siege(app, hire, redis, lab, random.Random(options.seed))  # noqa: S311 (no secret)
                siege.begin(options.workers)
                people = Person(siege, users[0]), Person(siege, users[1])
                began = time.monotonic()
                runs = send_all_under_fire(siege, people, options.documents, options.kills)
                seconds = time.monotonic() - began
                problems = broken_promises(siege, people, runs)
            rows = select(OutgoingMail.state, func.count()).group_by(OutgoingMail.state)
            states: Counter[str] = Counter({str(state): count for state, count in db.session.execute(rows)})
            database = database_name(postgres=options.postgres)
            return verdict(
                app,
                problems,
                f"{database}, seed {options.seed}: {options.documents} documents, {options.workers} workers,",
                f"killed: {dict(siege.kills)}; {seconds:.0f} s; mails: {dict(states)};",
                f"the server took {sum(acceptances(lab).values())} messages.",
            )
    return 1


if __name__ == "__main__":
    sys.exit(main())
