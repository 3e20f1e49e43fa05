"""`python -m bench.runs`: invoices of a list sent together, from the selection to the server's 250.

An installation of its own, with invoices of as many customers; real workers, Redis and SMTP sink. What counts is what a
person waits for: the dry run, and then until the last one is accepted. `FACTS.md` has 0.4 to 2.8 a second for Odoo.

With `--pages`, no mail leaves: a run of so many documents, written straight into the tables, is prepared, looked at,
started and paused; how long its pages and its longest writing transaction take.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event, func, insert, inspect, select, text, update

from bench.envoi import Installation
from bench.measure import sink
from bench.outbox_list import PASSWORD, signed_in
from core import clock
from core.auth.models import User
from core.auth.service import set_password
from core.companies.models import Company
from core.db import Base, db, end_reading, transaction
from core.documents.models import Document
from core.followers.models import Follower
from core.partners.models import Partner
from core.partners.service import save_partner
from core.registry import current_registry
from core.selection import Selection
from core.testing.services import postgres_server, redis_server
from modules.outbox.models import ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import looking, service, work
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
        while not looking.look(run.id, work.LOOKED_AT):
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


class Longest:
    """How long the longest transaction has held what it has written."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun: dict[int, float] = {}
        event.listen(db.engine, "before_cursor_execute", self._execute)
        event.listen(db.engine, "commit", self._end)
        event.listen(db.engine, "rollback", self._end)

    def _execute(self, connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        # SQLite takes its lock with the first word, PostgreSQL with the first row.
        if statement.lstrip()[:6] in {"BEGIN ", "INSERT", "UPDATE", "DELETE"}:
            self._begun.setdefault(id(connection), time.perf_counter())

    def _end(self, connection: Any) -> None:
        begun = self._begun.pop(id(connection), None)
        if begun is not None:
            self.seconds = max(self.seconds, time.perf_counter() - begun)

    def take(self) -> float:
        """Return the longest since this was last asked, in milliseconds."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds * 1000


def _quotations(count: int) -> list[int]:
    """Write quotations of as many customers straight into the tables; each is as one that a person made."""
    first = db.session.scalars(
        select(Document).where(Document.kind == "sales.quotation").order_by(Document.id)
    ).first()
    assert first is not None
    customer = db.session.get_one(Partner, first.partner_id)
    followers = db.session.scalars(select(Follower).where(Follower.document_id == first.id)).all()
    highest = db.session.scalar(select(func.max(Document.id))) or 0
    highest_partner = db.session.scalar(select(func.max(Partner.id))) or 0

    def copies(row: Base, changes: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        values = {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}
        return [{**values, **changes(number)} for number in range(1, count + 1)]

    def partner(number: int) -> dict[str, Any]:
        address = f"bench{number}@example.com"
        return {
            "id": highest_partner + number,
            "name": f"Bench {number}",
            "email": address,
            "email_key": address,
            "number": None,
            "parent_id": None,
        }

    with transaction() as session:
        session.execute(insert(Partner), copies(customer, partner))
        session.execute(
            insert(Document),
            copies(
                first,
                lambda number: {
                    "id": highest + number,
                    "number": f"B{number}",
                    "partner_id": highest_partner + number,
                },
            ),
        )
        for follower in followers:
            rows = copies(
                follower,
                lambda number, follower=follower: {
                    "document_id": highest + number,
                    "partner_id": highest_partner + number if follower.partner_id else None,
                },
            )
            session.execute(insert(Follower), [{key: row[key] for key in row if key != "id"} for row in rows])
        session.execute(
            text(
                "INSERT INTO sales_order (document_id, state, payment_terms, note)"
                " SELECT id, 'quotation', '', '' FROM core_document WHERE id > :highest"
            ),
            {"highest": highest},
        )
    return list(range(highest + 1, highest + count + 1))


def _shown(browser: FlaskClient, what: str, address: str) -> None:
    """Print what a page costs."""
    times = []
    for _ in range(7):
        begun, worked = time.perf_counter(), time.process_time()
        answer = browser.get(address)
        times.append((time.perf_counter() - begun, time.process_time() - worked))
        assert answer.status_code == 200, answer.status
    wall, work_done = (min(column) * 1000 for column in zip(*times, strict=True))
    print(f"  {what:44} {wall:8.0f} ms   of these CPU {work_done:5.0f} ms; the fastest of seven")


def pages(installation: Installation, count: int) -> None:
    """Measure the pages of a run, by its pages, beside one of ten, and its transactions; nothing is sent."""
    app = installation.app
    with app.app_context():
        ids = _quotations(count)
        longest = Longest()
        user = db.session.scalars(select(User).where(User.login.startswith("admin"))).one()
        app.config["WTF_CSRF_ENABLED"] = False
        set_password(user.login, PASSWORD)
        browser = signed_in(app, user.login)

        def told(what: str, action: Callable[[], Any]) -> Any:
            begun = time.perf_counter()
            result = action()
            db.session.rollback()
            seconds = time.perf_counter() - begun
            print(f"  {what:44} {seconds * 1000:8.0f} ms   longest transaction {longest.take():7.0f} ms")
            return result

        def press(address: str, **fields: Any) -> str:
            answer = browser.post(address, data=fields)
            assert answer.status_code == 302, answer.status
            return str(answer.headers["Location"])

        def prepared(what: str, **selected: Any) -> str:
            led: str = told(what, lambda: press("/outbox/runs/of/sales.quotations", **selected))
            run_id = int(led.rpartition("/")[2])
            with transaction() as session:
                rest = (RunItem.run_id == run_id, RunItem.state == ItemState.UNCHECKED)
                seen = session.scalars(
                    select(RunItem.seen_template).where(RunItem.seen_template != "")
                ).first()
                looked = {"state": ItemState.READY, "revision": 1, "seen_template": seen or ""}
                session.execute(update(RunItem).where(*rest).values(looked))
            longest.take()
            return led

        print(f"{count} documents, {db.engine.dialect.name}")
        longest.take()
        small = prepared("selected and prepared: 10", id=ids[:10])
        large = prepared(f"selected and prepared: all of {count}", all="1", criteria="q=Bench")
        _shown(browser, "the dry run of 10", small)
        _shown(browser, f"the dry run of {count}", large)
        _shown(browser, "its lines that are held", f"{large}?f=held")
        _shown(browser, "its progress", f"{large}/progress")
        longest.take()
        run_id = int(large.rpartition("/")[2])
        told("its counts", lambda: counts_of(run_id))
        told("started", lambda: press(f"{large}/start"))
        told("a job's turn: two hundred written", lambda: work.work(run_id))
        _shown(browser, "the page while it runs", large)
        told("paused", lambda: press(f"{large}/pause"))
        chosen = service.templates_of(db.session.get_one(Run, run_id))[0][0]
        told("another template: all are looked at again", lambda: press(f"{large}/template", template=chosen))
        told("stopped", lambda: press(f"{large}/stop"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pages", type=int, default=0, help="documents of a run that is only looked at")
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder) / "redis") as redis_url,
        sink() as port,
        ExitStack() as stack,
    ):
        place = Path(folder) / "postgres"
        url = stack.enter_context(postgres_server(place)) if options.postgres else None
        installation = Installation(Path(folder) / "envoi", redis_url, port, url)
        if options.pages:
            pages(installation, options.pages)
        else:
            measure(installation, options.invoices, options.workers)


if __name__ == "__main__":
    main()
