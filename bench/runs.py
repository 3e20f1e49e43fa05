"""`python -m bench.runs`: invoices of a list sent together, from the selection to the server's 250.

An installation of its own, with invoices of as many customers; real workers, Redis and SMTP sink. What counts is what a
person waits for: the dry run, and then until the last one is accepted. `FACTS.md` has 0.4 to 2.8 a second for Odoo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from sqlalchemy import func, select

from bench.envoi import Installation
from bench.measure import sink
from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading
from core.partners.service import save_partner
from core.registry import current_registry
from core.selection import Selection
from core.testing.services import postgres_server, redis_server
from modules.outbox.models import OutgoingMail, Run, RunState
from modules.outbox.runs import service, work
from modules.outbox.runs.counts import counts_of
from modules.outbox.states import MailState
from modules.sales.service import invoices
from modules.sales.service.lines import LineValues


def _invoices(count: int) -> list[int]:
    company = db.session.scalars(select(Company).order_by(Company.id)).first()
    seller = db.session.scalars(select(User).order_by(User.id)).first()
    assert company is not None
    ids = []
    lines = [LineValues("Consulting", Decimal(3), Decimal("80.00"))]
    for number in range(count):
        partner = save_partner(
            None, {"name": f"Bench {number}", "email": f"bench{number}@example.com", "language": "en"}
        )
        values = invoices.InvoiceValues(partner.id, clock.day_in("UTC"), lines)
        row = invoices.create_invoice(company, values, seller)
        invoices.post(row)
        ids.append(row.document_id)
    return ids


def measure(installation: Installation, count: int, workers: int) -> None:
    """Send invoices together, and print how long each part took."""
    with installation.app.app_context():
        ids = _invoices(count)
        user = db.session.scalars(select(User).where(User.login.startswith("admin"))).one()
        begun = time.perf_counter()
        run = service.prepare(Selection(current_registry().lists["sales.invoices"], tuple(ids)), user)
        prepared = time.perf_counter()
        while not work.look(run.id, work.LOOKED_AT):
            pass
        looked = time.perf_counter()
        counts_of(run.id)
        counted = time.perf_counter()
        service.start(run, user)
        run_id = run.id
        end_reading()
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "core", "worker"],
                env=os.environ | installation.environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(workers)
        ]
        started = time.perf_counter()
        accepted = 0
        try:
            while accepted < count and time.perf_counter() - started < 1800:
                time.sleep(0.5)
                db.session.rollback()
                accepted = (
                    db.session.scalar(
                        select(func.count()).where(
                            OutgoingMail.run_id == run_id, OutgoingMail.state == MailState.SENT
                        )
                    )
                    or 0
                )
                state = db.session.get_one(Run, run_id, populate_existing=True).state
                if state is RunState.PAUSED:
                    break
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
        seconds = time.perf_counter() - started
    print(f"{count} invoices, {workers} worker(s)")
    print(f"  selection to the first page of the dry run  {prepared - begun:8.2f} s")
    print(f"  all looked through, by one process          {looked - begun:8.2f} s")
    print(f"  counts of the run                           {(counted - looked) * 1000:8.1f} ms")
    print(
        f"  start to the last 250, the worker's start included  {seconds:8.2f} s, {accepted / seconds:.1f}/s"
    )
    print(f"  accepted {accepted} of {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder) / "redis") as redis_url,
        sink() as port,
    ):
        if options.postgres:
            with postgres_server(Path(folder) / "postgres") as url:
                measure(
                    Installation(Path(folder) / "envoi", redis_url, port, url),
                    options.invoices,
                    options.workers,
                )
        else:
            measure(
                Installation(Path(folder) / "envoi", redis_url, port, None),
                options.invoices,
                options.workers,
            )


if __name__ == "__main__":
    main()
