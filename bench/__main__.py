"""`python -m bench`: what Envoi does in a second, beside plain RQ + Flask-Mail doing the same.

Every figure comes from one run on one machine, with the same SMTP sink and the same Redis, the
contestants in turns so that a noisy neighbor hits both. Trust the ratios and the CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import platform
import resource
import secrets
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from redis import Redis
from rq import Queue
from sqlalchemy import func, select

from core import migrate
from core.app import create_app
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import behavior_of
from core.embedded import free_port
from core.mail.addresses import Address
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft
from core.testing.fixtures import test_settings
from core.testing.services import postgres_server, redis_server
from modules.mail_config.models import Encryption, MailServer
from modules.outbox import service
from modules.outbox.composer import draft_for
from modules.outbox.mime import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState

PDF = b"%PDF-1.4\n" + os.urandom(35_000)
BODY = "<div>Hello,</div><div>please find your <strong>document</strong> attached.</div>"


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str
    mails: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.mails / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu / self.mails * 1000


@contextlib.contextmanager
def sink() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def accepted(port: int) -> int:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        return int(client.docmd("COUNT")[1])


def measured(name: str, mails: int, port: int, commands: list[list[str]], environ: dict[str, str]) -> Figure:
    """Run worker processes until the queue is empty, and measure from the first mail to the last.

    The time to load the application is left out on both sides: it is paid once in a worker's life.
    """
    before = accepted(port)
    cpu_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [subprocess.Popen(command, env={**os.environ, **environ}) for command in commands]
    started = ended = 0.0
    give_up = time.monotonic() + 900
    while time.monotonic() < give_up:
        done = accepted(port) - before
        now = time.monotonic()
        if done and not started:
            started, first = now, done
        if done >= mails:
            ended = now
            break
        time.sleep(0.01)
    for process in processes:
        process.wait(120)
    if not ended:
        raise SystemExit(f"{name}: only {accepted(port) - before} of {mails} mails arrived.")
    cpu_after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = cpu_after.ru_utime + cpu_after.ru_stime - cpu_before.ru_utime - cpu_before.ru_stime
    idle = [subprocess_cpu(command, environ) for command in commands]
    return Figure(
        name, mails - first, max(ended - started, 1e-9), max(cpu - sum(idle), 1e-9) * (mails - first) / mails
    )


def subprocess_cpu(command: list[str], environ: dict[str, str]) -> float:
    """Return the CPU seconds of a worker that finds an empty queue: what loading costs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **environ}, check=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Installation:
    """An Envoi with a company, a tested server that leads to the sink, and demonstration documents."""

    def __init__(self, folder: Path, redis_url: str, sink_port: int, database_url: str | None) -> None:
        self.queue = f"bench-{secrets.token_hex(4)}"
        changes = {"redis_url": redis_url, "queue": self.queue}
        if database_url:
            changes["database_url"] = database_url
        settings = test_settings(folder, **changes)
        self.app = create_app(settings)
        self.environ = {
            "ENVOI_DATA_DIR": str(folder),
            "ENVOI_DATABASE_URL": settings.database_url,
            "ENVOI_REDIS_URL": redis_url,
            "ENVOI_QUEUE": self.queue,
        }
        with self.app.app_context():
            migrate.upgrade(self.app)
            migrate.load_demo(self.app)
            service.cancel(list(db.session.scalars(select(OutgoingMail.id))))
            with transaction() as session:
                for old in session.scalars(select(MailServer)):
                    old.active = False
                server = MailServer(name="Sink", host="127.0.0.1", port=sink_port, encryption=Encryption.NONE)
                session.add(server)
                session.flush()
                server.tested_fingerprint = server.fingerprint

    def submit_ready(self, count: int) -> None:
        with self.app.app_context():
            company = db.session.scalars(select(Company)).first()
            assert company is not None
            sha256 = file_store().put(PDF)
            ids = []
            with transaction():
                for number in range(count):
                    draft = MailDraft(
                        None,
                        0,
                        company.id,
                        "en",
                        "Your document",
                        BODY,
                        recipients=[DraftRecipient(Address(f"n{number}@example.com"))],
                        attachments=[DraftAttachment("document.pdf", "application/pdf", sha256, len(PDF))],
                    )
                    ids.append(service.write_mail(draft, None).id)
                service.enqueue_delivery(ids)

    def submit_quotations(self, count: int) -> None:
        with self.app.app_context():
            document = self.quotation()
            user = db.session.get(User, document.owner_id) if document.owner_id else None
            draft = draft_for(document, None, user)
            ids = []
            with transaction():
                for number in range(count):
                    draft.recipients = [DraftRecipient(Address(f"q{number}@example.com"))]
                    ids.append(service.write_mail(draft, user).id)
                service.enqueue_delivery(ids)

    def quotation(self) -> Document:
        query = select(Document).where(Document.kind == "sales.quotation").order_by(Document.id)
        for document in db.session.scalars(query):
            if behavior_of(document).why_not_sendable(document) is None:
                return document
        raise SystemExit("The demonstration has no quotation.")

    def quotation_html(self) -> str:
        with self.app.app_context():
            document = self.quotation()
            return behavior_of(document).pdf_html(document)

    def unsettled(self) -> int:
        with self.app.app_context():
            query = (
                select(func.count())
                .select_from(OutgoingMail)
                .where(OutgoingMail.state.not_in([MailState.SENT, MailState.CANCELED]))
            )
            return db.session.scalar(query) or 0


def plain_side(name: str, redis_url: str, port: int, mails: int, function: str, argument: Path) -> Figure:
    queue_name = f"plain-{secrets.token_hex(4)}"
    queue = Queue(queue_name, connection=Redis.from_url(redis_url))
    queue.enqueue_many(
        [
            Queue.prepare_data(f"bench.plain.{function}", args=(number, str(argument)))
            for number in range(mails)
        ]
    )
    code = f"from bench.plain import work; work({redis_url!r}, {queue_name!r})"
    return measured(name, mails, port, [[sys.executable, "-c", code]], {"BENCH_SINK": str(port)})


def envoi_side(
    name: str, installation: Installation, port: int, mails: int, submit: Callable[[int], None], workers: int
) -> Figure:
    submit(mails)
    command = [sys.executable, "-m", "core", "worker", "--burst"]
    figure = measured(name, mails, port, [command] * workers, installation.environ)
    left = installation.unsettled()
    if left:
        raise SystemExit(f"{name}: {left} mails were not settled as sent.")
    return figure


def show(figures: list[Figure], against: Figure) -> None:
    print(f"{'':44} {'mails/s':>9} {'CPU ms':>8} {'ratio':>7}")
    for figure in figures:
        ratio = figure.rate / against.rate
        print(f"{figure.name:44} {figure.rate:9.1f} {figure.cpu_ms:8.2f} {ratio:6.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--quotations", type=int, default=120)
    parser.add_argument("--postgres", action="store_true", help="Measure on PostgreSQL as well.")
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoi-bench-")))
        (folder / "redis").mkdir()
        redis_url = stack.enter_context(redis_server(folder / "redis"))
        port = stack.enter_context(sink())
        databases: dict[str, str | None] = {"SQLite": None}
        if options.postgres:
            (folder / "postgres").mkdir()
            databases["PostgreSQL"] = stack.enter_context(postgres_server(folder / "postgres"))
        (folder / "document.pdf").write_bytes(PDF)

        print(f"\nDraining {options.mails} mails with a ready PDF of 35 kB")
        plain = plain_side(
            "plain RQ + Flask-Mail, 1 worker",
            redis_url,
            port,
            min(options.mails, 600),
            "send_file",
            folder / "document.pdf",
        )
        figures = [plain]
        installations = {}
        for title, url in databases.items():
            installation = installations[title] = Installation(folder / title, redis_url, port, url)
            for workers in (1, 2):
                name = f"Envoi, {title}, {workers} worker{'s' if workers > 1 else ''}"
                figures.append(
                    envoi_side(name, installation, port, options.mails, installation.submit_ready, workers)
                )
        show(figures, plain)

        print(f"\nSending {options.quotations} quotations, each rendered to PDF")
        installation = installations["SQLite"]
        (folder / "quotation.html").write_text(installation.quotation_html(), encoding="utf-8")
        plain = plain_side(
            "plain RQ + Flask-Mail + xhtml2pdf, 1 worker",
            redis_url,
            port,
            options.quotations,
            "send_rendered",
            folder / "quotation.html",
        )
        figures = [plain]
        for workers in (1, 2):
            name = f"Envoi, SQLite, {workers} worker{'s' if workers > 1 else ''}"
            figures.append(
                envoi_side(
                    name, installation, port, options.quotations, installation.submit_quotations, workers
                )
            )
        show(figures, plain)


if __name__ == "__main__":
    main()
