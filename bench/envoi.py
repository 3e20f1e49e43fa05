"""Envoi at work: an installation of its own, whose mails are written by its service and sent by its workers."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from bench.measure import Figure, Work, measured
from bench.pdfs import own_pdf
from core import demonstration, migrate
from core.app import create_app
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import behavior_of
from core.mail.addresses import Address
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft
from core.testing.fixtures import test_settings
from modules.mail_config.models import Encryption, MailServer
from modules.outbox import service
from modules.outbox.compose.draft import draft_for
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState

BODY = "<div>Hello,</div><div>please find your <strong>document</strong> attached.</div>"


class Installation:
    """An Envoi with a company, a tested server that leads to the sink, and demonstration documents."""

    def __init__(self, folder: Path, redis_url: str, sink_port: int, database_url: str | None) -> None:
        self.sink_port = sink_port
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
            "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
        }
        with self.app.app_context():
            migrate.upgrade(self.app)
            demonstration.load_demo(self.app)
            service.cancel(list(db.session.scalars(select(OutgoingMail.id))))
            with transaction() as session:
                for old in session.scalars(select(MailServer)):
                    old.active = False
                server = MailServer(name="Sink", host="127.0.0.1", port=sink_port, encryption=Encryption.NONE)
                session.add(server)
                session.flush()
                server.tested_fingerprint = server.fingerprint

    def submit_ready(self, count: int, pdf: bytes) -> None:
        with self.app.app_context():
            company = db.session.scalars(select(Company)).first()
            assert company is not None
            files = [own_pdf(pdf, number) for number in range(count)]
            stored = [file_store().put(file) for file in files]
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
                        attachments=[
                            DraftAttachment(
                                "document.pdf", "application/pdf", stored[number], len(files[number])
                            )
                        ],
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

    def drain(
        self, name: str, mails: int, submit: Callable[[int], None], workers: int, connections: int = 20
    ) -> Figure:
        """Let workers empty the queue, and see that every mail is settled."""
        with self.app.app_context(), transaction() as session:
            for server in session.scalars(select(MailServer)):
                server.connections = connections
        submit(mails)
        command = [sys.executable, "-m", "core", "worker", "--burst"]
        figure = measured(name, mails, self.sink_port, Work([command] * workers, self.environ))
        left = self.unsettled()
        if left:
            raise SystemExit(f"{name}: {left} mails were not settled as sent.")
        return figure
