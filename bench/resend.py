"""`python -m bench.resend`: 300 failures are sent again from the list, as a person does it, to a server without delay.

A house as `envoi up` starts it, with mails that have failed. "All that match" is sent again by the form of the list; it
says when the server had accepted all of them, and when the open list had shown it, both from the end of the seconds in
which that can be called back.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import smtplib
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import func, select, update

from bench.live import LOGIN, Connection, Page, token_of
from bench.measure import sink
from bench.promises import database_name
from core import clock
from core.app import create_app
from core.companies.models import Company
from core.db import db, transaction
from core.demo import PASSWORD
from core.mail.addresses import Address
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.fixtures import test_settings
from core.testing.services import RedisServer, postgres_server
from modules.mail_config.models import Encryption, MailServer
from modules.outbox import service
from modules.outbox.message import file_store
from modules.outbox.models import MAILS, BulkRun, MailRecipient, OutgoingMail
from modules.outbox.states import MailState
from tests.journeys.house import running_house

PDF = b"%PDF-1.4\n" + os.urandom(35_000)
PATIENCE_SECONDS = 60.0


def prepare(count: int, port: int) -> None:
    """Write mails that have failed, and lead all to the sink."""
    with transaction() as session:
        for old in session.scalars(select(MailServer)):
            old.active = False
        server = MailServer(
            name="Sink", host="127.0.0.1", port=port, encryption=Encryption.NONE, connections=20
        )
        session.add(server)
        session.flush()
        server.tested_fingerprint = server.fingerprint
    company = db.session.scalars(select(Company)).first()
    assert company is not None
    file = DraftAttachment("document.pdf", "application/pdf", file_store().put(PDF), len(PDF))
    with transaction() as session:
        ids = []
        for number in range(count):
            to = [DraftRecipient(Address(f"n{number}@example.com"))]
            draft = MailDraft(
                None, 0, company.id, "en", "Document", "<div>Hello</div>", recipients=to, attachments=[file]
            )
            ids.append(service.write_mail(draft, None).id)
        session.flush()
        failed = {"state": MailState.FAILED, "failure_kind": FailureKind.MESSAGE_REFUSED}
        session.execute(update(MAILS).where(MAILS.c.id.in_(ids)).values(**failed))
        session.execute(
            update(MailRecipient).where(MailRecipient.mail_id.in_(ids)).values(state=RecipientState.REFUSED)
        )


async def resend(url: str, count: int, port: int) -> None:
    """Send all failures again, and say how long it took."""
    cookies: dict[str, str] = {}
    browser = Connection(url, cookies)
    form = {"login": LOGIN, "password": PASSWORD, "csrf_token": token_of(await browser.ask("/sign-in"))}
    await browser.ask("/sign-in", list(form.items()))
    token = token_of(await browser.ask("/outbox/mails"))
    headers = {"X-CSRFToken": token, "X-Quiet": "1", "HX-Request": "true"}
    await browser.ask(
        "/outbox/mails/bulk?f=failed",
        [("csrf_token", token), ("all", "1"), ("action", "retry"), ("back", "/outbox/mails?q=Document")],
    )
    posted = clock.now()
    db.session.rollback()
    begins = db.session.scalar(select(BulkRun.begins_at).order_by(BulkRun.id.desc()).limit(1)) or posted
    page = Page(Connection(url, cookies), "/outbox/mails?q=Document", headers, clocked=True)
    await page.open()
    watching = asyncio.create_task(page.watch())
    until = time.monotonic() + PATIENCE_SECONDS
    accepted: dt.datetime | None = None
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as watcher:
        while accepted is None and time.monotonic() < until:
            await asyncio.sleep(0.02)
            if int(watcher.docmd("COUNT")[1]) >= count:
                accepted = clock.now()
    while time.monotonic() < until:
        db.session.rollback()
        left = (
            select(func.count())
            .select_from(OutgoingMail)
            .where(OutgoingMail.subject == "Document", OutgoingMail.state != MailState.SENT)
        )
        if not db.session.scalar(left):
            break
        await asyncio.sleep(0.02)
    settled = clock.now()
    await asyncio.sleep(3)
    watching.cancel()
    assert accepted is not None, "The server has not got all of them."
    seen = next((came for begun, came in page.shown if begun >= settled), page.shown[-1][1])
    for what, moment in (("accepted", accepted), ("settled", settled), ("shown by the open list", seen)):
        print(f"  {what}: {(moment - begins).total_seconds():.2f} s", flush=True)


def main() -> int:
    """Run with one database."""
    parser = argparse.ArgumentParser(prog="python -m bench.resend", description=__doc__)
    parser.add_argument("--mails", type=int, default=300)
    parser.add_argument("--postgres", action="store_true", help="On PostgreSQL instead of SQLite.")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-resend-")))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.stop)
        port = stack.enter_context(sink())
        url = f"sqlite:///{folder / 'data' / 'envoi.db'}"
        if options.postgres:
            (folder / "postgres").mkdir()
            url = stack.enter_context(postgres_server(folder / "postgres"))
        house = stack.enter_context(running_house(folder, redis.url, ENVOI_DATABASE_URL=url))
        app = create_app(test_settings(house.data_dir, database_url=url, redis_url=redis.url))
        with app.app_context():
            prepare(options.mails, port)
            print(
                f"{database_name(postgres=options.postgres)}, {os.cpu_count()} cores: {options.mails} failures",
                flush=True,
            )
            asyncio.run(resend(house.url, options.mails, port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
