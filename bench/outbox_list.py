"""`python -m bench.outbox_list`: the pages of the outbox's list, with a thousand mails and with a million.

Each page is asked for through the whole application, by a test client that is signed in, several times; the
fastest answer counts, since everything else is the machine. The promise is that no page takes more than a
tenth of a second; what takes more than twice a full page of the small list is marked.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import random
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, text

from core import clock, migrate
from core.app import create_app
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.mail.explanations import FailureKind
from core.matching import fold
from core.testing.fixtures import test_settings
from core.testing.services import create_database, postgres_server
from modules.mail_config.models import Encryption
from modules.mail_config.servers.service import save_server
from modules.outbox.models import MAIL_SEARCH, MAILS, RECIPIENTS
from modules.outbox.states import MailState

SMALL = 1000
SERVERS = 20
COMPANIES = 5
SELLERS = 10
DOCUMENTS = 1000
ADDRESSES = 100_000
BATCH = 10_000
ROUNDS = 5
SLOW_MS = 100.0
SLOW_RATIO = 2.0
PASSWORD = "a password for measuring"  # noqa: S105 (of a user who lives as long as the measurement)

KINDS = ("sales.quotation", "sales.order", "sales.invoice", "sales.credit_note", "")
KIND_WEIGHTS = (40, 20, 35, 2, 3)
COMPANY_WEIGHTS = (60, 25, 10, 4, 1)
FIRST_NAMES = ("Marie", "Jean", "Sofía", "Jürgen", "Aïcha", "Paul", "Élodie", "Tom", "Zoë", "Ivan")
LAST_NAMES = ("Martin", "Bernard", "Müller", "García", "Petit", "Durand", "Lefèvre", "Moreau", "Roux", "Weiß")
WORDS = (
    "roof",
    "kitchen",
    "spring",
    "delivery",
    "maintenance",
    "garden",
    "bath",
    "office",
    "chairs",
    "timber",
)
FAILURES = (
    FailureKind.RECIPIENT_UNKNOWN,
    FailureKind.MAILBOX_FULL,
    FailureKind.SPAM_SUSPECTED,
    FailureKind.AUTH_FAILED,
    FailureKind.RECIPIENT_REFUSED,
    FailureKind.OUTCOME_UNKNOWN,
)
DELAYS = (FailureKind.RATE_LIMITED, FailureKind.CONNECT_FAILED, FailureKind.PACED)
STATES = (
    (MailState.SENT, 9600),
    (MailState.FAILED, 60),
    (MailState.PARTIAL, 30),
    (MailState.UNCERTAIN, 10),
    (MailState.DEFERRED, 80),
    (MailState.QUEUED, 50),
    (MailState.SCHEDULED, 20),
    (MailState.CANCELED, 150),
)


@dataclass(frozen=True)
class World:
    """What mails refer to."""

    companies: list[int]
    servers: list[int]
    sellers: list[int]
    documents: list[int]


def furnish() -> World:
    """Make what mails refer to: companies, servers, people, documents."""
    companies = [
        save_company(
            None, {"name": f"Company {n}", "email": f"sales@company{n}.example.com", "currency": "EUR"}
        )
        for n in range(COMPANIES)
    ]
    servers = []
    for n in range(SERVERS):
        values = {
            "name": f"Server {n}",
            "host": f"smtp{n}.example.com",
            "port": 587,
            "encryption": Encryption.STARTTLS,
            "username": "",
            "from_filter": "",
            "priority": n,
            "active": True,
        }
        servers.append(save_server(None, values, None).id)
    ids = [company.id for company in companies]
    people = [("support@bench.example.com", "Support", "support", ids)] + [
        (f"seller{n}@bench.example.com", f"Seller {n}", "salesperson", ids[: 1 + n % 2])
        for n in range(SELLERS)
    ]
    users = [
        save_user(
            None, login=login, name=name, roles=[role], company_ids=reached, language="en", password=PASSWORD
        )
        for login, name, role, reached in people
    ]
    sellers = [user.id for user in users[1:]]
    with transaction() as session:
        session.execute(
            insert(Document),
            [
                {
                    "kind": "sales.quotation",
                    "number": f"S{n:05}",
                    "company_id": ids[0],
                    "date": clock.day_in("UTC"),
                    "currency": "EUR",
                    "language": "en",
                    "total": 1,
                }
                for n in range(DOCUMENTS)
            ],
        )
        documents = list(session.scalars(select(Document.id)))
    return World(ids, servers, sellers, documents)


def fill(world: World, first: int, last: int, total: int) -> None:
    """Write mails with the numbers from `first` to `last` - 1; the newest of `total` is of just now."""
    chance = random.Random(first)  # noqa: S311 (figures must repeat, not be secret)
    now = clock.now()
    year = dt.timedelta(days=365)
    states, weights = zip(*STATES, strict=True)
    for start in range(first, last, BATCH):
        mails: list[dict[str, Any]] = []
        recipients: list[dict[str, Any]] = []
        texts: list[dict[str, Any]] = []
        for number in range(start, min(start + BATCH, last)):
            mail_id = number + 1
            state = chance.choices(states, weights)[0]
            failed = state in {MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN}
            kind = None
            if failed:
                kind = chance.choice(FAILURES)
            elif state is MailState.DEFERRED:
                kind = chance.choice(DELAYS)
            document_kind = chance.choices(KINDS, KIND_WEIGHTS)[0]
            reference = f"INV-2026-{number:07}"
            subject = f"{chance.choice(WORDS).title()} and {chance.choice(WORDS)}: {reference}"
            person = chance.randrange(ADDRESSES)
            name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
            address = f"{fold(name).replace(' ', '.')}.{person}@customer{person % 5000}.example.com"
            message_id = f"<{number:032x}@company.example.com>"
            at = now - year * ((total - number) / total)
            mails.append(
                {
                    "id": mail_id,
                    "state": state,
                    "message_id": message_id,
                    "subject": subject,
                    "body_html": "<div>Hello,</div><div>please find your document attached.</div>" * 5,
                    "body_text": "Hello,\n\nplease find your document attached.\n" * 5,
                    "language": "en",
                    "server_id": None if state is MailState.QUEUED else chance.choice(world.servers),
                    "company_id": chance.choices(world.companies, COMPANY_WEIGHTS)[0],
                    "document_id": chance.choice(world.documents) if number % 2 else None,
                    "document_kind": document_kind,
                    "submitted_by_id": chance.choice(world.sellers),
                    "submitted_at": at,
                    "next_attempt_at": at + dt.timedelta(hours=chance.randrange(1, 48)),
                    "attempts": 1,
                    "failure_kind": kind,
                    "failure_reason": "550 5.1.1 <somebody>: user unknown" if failed else "",
                    "recipient_count": 1,
                    "accepted_count": int(state is MailState.SENT),
                }
            )
            recipients.append({"mail_id": mail_id, "addr_spec": address, "display_name": name})
            texts.append(
                {
                    "mail_id": mail_id,
                    "text": fold(f"{subject}\n{reference}\n{message_id}\n{address}\n{name}"),
                }
            )
        with transaction() as session:
            session.execute(insert(MAILS), mails)
            session.execute(insert(RECIPIENTS), recipients)
            session.execute(insert(MAIL_SEARCH), texts)


def pages() -> list[tuple[str, str]]:
    """Return what is asked for, each with a name."""
    return [
        ("first page", "/outbox/mails"),
        ("last page", "/outbox/mails?dir=asc"),
        *((f"filter {name}", f"/outbox/mails?f={name}") for name in ("failed", "waiting", "uncertain")),
        *((f"filter {name}", f"/outbox/mails?f={name}") for name in ("sent", "today", "mine")),
        ("sorted by subject", "/outbox/mails?sort=subject"),
        ("sorted by next try", "/outbox/mails?sort=next&f=waiting"),
        ("failed, by subject", "/outbox/mails?f=failed&sort=subject"),
        ("state canceled", "/outbox/mails?state=canceled"),
        ("kind of failure", "/outbox/mails?kind=mailbox_full"),
        ("server", "/outbox/mails?server=3"),
        ("smallest company", "/outbox/mails?company=5"),
        ("document kind", "/outbox/mails?document=sales.credit_note"),
        ("last 7 days", "/outbox/mails?period=7d"),
        ("a month half a year ago", f"/outbox/mails?period={_half_a_year_ago()}"),
        ("failed + server", "/outbox/mails?f=failed&server=3"),
        ("failed + kind + company", "/outbox/mails?f=failed&kind=mailbox_full&company=4"),
        ("server + company + document", "/outbox/mails?server=3&company=5&document=sales.credit_note"),
        ("sent + server + 30 days", "/outbox/mails?f=sent&server=3&period=30d"),
        ("company + subject order", "/outbox/mails?company=5&sort=subject"),
        ("nothing matches", "/outbox/mails?server=none&f=sent&company=5"),
        ("search: rare", "/outbox/mails?q=INV-2026-0000123"),
        ("search: some", "/outbox/mails?q=customer77"),
        ("search: common", "/outbox/mails?q=example.com"),
        ("search: two words", "/outbox/mails?q=kitchen%20muller"),
        ("search: two letters", "/outbox/mails?q=zo"),
        ("search: absent", "/outbox/mails?q=zzzqqq"),
        ("search: absent, usual letters", "/outbox/mails?q=moc.elpmaxe"),
        ("search: common + failed", "/outbox/mails?q=kitchen&f=failed"),
        ("search: common + server", "/outbox/mails?q=kitchen&server=3"),
        ("search: some, by subject", "/outbox/mails?q=customer77&sort=subject"),
        ("groups by reason", "/outbox/mails?group=reason"),
        ("groups of a server", "/outbox/mails?group=reason&server=3"),
        ("panel of filters", "/outbox/mails/filters"),
        ("panel, failed", "/outbox/mails/filters?f=failed"),
        ("panel, a server", "/outbox/mails/filters?server=3"),
        ("panel, common search", "/outbox/mails/filters?q=kitchen"),
        ("what has changed", "/outbox/mails/live?newest=0&f=failed"),
        ("how many match: failed", "/outbox/mails/matching?f=failed"),
        ("how many match: all", "/outbox/mails/matching"),
    ]


def _half_a_year_ago() -> str:
    day = clock.day_in("UTC") - dt.timedelta(days=180)
    return f"{day - dt.timedelta(days=30)}..{day}"


def measure(client: FlaskClient) -> dict[str, float]:
    """Return how many milliseconds each page takes; the fastest of some rounds."""
    figures: dict[str, float] = {}
    for name, address in pages():
        times = []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            response = client.get(address)
            times.append((time.perf_counter() - begin) * 1000)
            assert response.status_code == 200, (address, response.status_code)
        figures[name] = min(times[1:])
    figures["page 500, by its key"] = _deep(client)
    return figures


def _deep(client: FlaskClient) -> float:
    """Return what a page deep in the list takes; its key is made by following the pager from half way."""
    html = client.get(f"/outbox/mails?period=..{clock.day_in('UTC') - dt.timedelta(days=180)}").text
    token = re.search(r'rel="next" href="[^"]*after=([^"&]+)', html)
    assert token is not None
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        response = client.get(f"/outbox/mails?after={token[1]}")
        times.append((time.perf_counter() - begin) * 1000)
        assert response.status_code == 200
    return min(times)


def signed_in(app: Flask, login: str) -> FlaskClient:
    """Return a client in which somebody is signed in."""
    client = app.test_client()
    response = client.post("/sign-in", data={"login": login, "password": PASSWORD})
    assert response.status_code == 302, response.text
    return client


@contextlib.contextmanager
def installation(folder: Path, database_url: str | None) -> Iterator[Flask]:
    """An application on an empty database."""
    changes = {"database_url": database_url} if database_url else {}
    app = create_app(test_settings(folder, **changes))
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        migrate.upgrade(app)
    yield app
    with app.app_context():
        db.engine.dispose()


def run(name: str, folder: Path, database_url: str | None, large: int, who: Sequence[str]) -> bool:
    """Measure one database, print the figures, and return True when each page keeps the promise."""
    figures: dict[tuple[int, str], dict[str, float]] = {}
    with installation(folder, database_url) as app:
        with app.app_context():
            world = furnish()
        for size in (SMALL, large):
            begin = time.perf_counter()
            with app.app_context():
                with transaction() as session:
                    session.execute(text("DELETE FROM outbox_mail"))
                fill(world, 0, size, size)
                if name == "PostgreSQL":
                    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                        connection.execute(text("VACUUM ANALYZE"))
            print(f"{name}: {size:,} mails written in {time.perf_counter() - begin:.0f} s.", flush=True)
            # Outside of the context: within one, a client would act as whoever was signed in before.
            for login in who:
                figures[size, login] = measure(signed_in(app, login))
    kept = True
    for login in who:
        print(f"\n{name}, {login.partition('@')[0]}, ms: {SMALL:,} mails, {large:,} mails, ratio")
        for page, small in figures[SMALL, login].items():
            big = figures[large, login][page]
            # A list of a thousand often has no full page to show: compare with what a full page takes.
            fair = max(small, figures[SMALL, login]["first page"])
            kept = kept and big <= SLOW_MS
            note = "  slow" if big > SLOW_MS else "  more" if big > SLOW_RATIO * fair else ""
            print(f"  {page:32} {small:8.1f} {big:8.1f} {big / small:6.1f}{note}")
    return kept


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=1_000_000, help="how many mails the large list has")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL, too")
    parser.add_argument("--only-postgres", action="store_true", help="measure PostgreSQL, and not SQLite")
    parser.add_argument("--folder", type=Path, help="where the data goes; a temporary folder by default")
    arguments = parser.parse_args()
    who = ("support@bench.example.com", "seller1@bench.example.com")
    kept = True
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if not arguments.only_postgres:
            kept = run("SQLite", Path(folder) / "sqlite", None, arguments.mails, who)
        if arguments.postgres or arguments.only_postgres:
            with postgres_server(Path(folder) / "server") as url:
                database = create_database(url, "bench")
                kept = run("PostgreSQL", Path(folder) / "files", database, arguments.mails, who) and kept
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
