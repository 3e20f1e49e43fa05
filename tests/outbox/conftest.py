from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from flask import Flask

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import transaction
from core.documents.models import Document
from core.mail.addresses import parse_address
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft
from core.partners.models import Partner
from core.partners.service import save_partner
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers.service import save_server
from modules.outbox import service
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.sales.service import orders
from modules.sales.service.lines import LineValues


@pytest.fixture
def app(app: Flask) -> Flask:
    """The application, in which a mail leaves at once: no seconds to call it back."""
    app.config["OUTBOX_UNDO_SECONDS"] = 0.5
    return app


@pytest.fixture
def lab() -> Iterator[SmtpLab]:
    with SmtpLab() as lab:
        yield lab


def make_server(lab: SmtpLab, **changes: object) -> MailServer:
    values = {
        "name": "Lab",
        "host": lab.host,
        "port": lab.port,
        "encryption": Encryption.NONE,
        "username": "",
        "from_filter": "",
        "priority": 10,
        # One at a time, so that a test knows the order of things; those of several lanes say so.
        "connections": 1,
        "active": True,
        **changes,
    }
    password = values.pop("password", None)
    return save_server(None, values, password)


def make_ready(server: MailServer) -> MailServer:
    with transaction():
        server.tested_fingerprint = server.fingerprint
    return server


@pytest.fixture
def server(lab: SmtpLab, company: Company) -> MailServer:
    return make_ready(make_server(lab))


@pytest.fixture
def customer(company: Company) -> Partner:
    return save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "fr"})


def draft(
    company: Company, *addresses: str, document: Document | None = None, **changes: object
) -> MailDraft:
    made = MailDraft(
        document_id=document.id if document else None,
        document_revision=document.revision if document else 0,
        company_id=company.id,
        language="en",
        subject="A subject",
        body_html="<div>Hello <strong>you</strong></div>",
        recipients=[DraftRecipient(parse_address(address)) for address in addresses],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def with_file(made: MailDraft, name: str = "note.txt", data: bytes = b"some bytes") -> MailDraft:
    sha256 = file_store().put(data)
    made.attachments.append(DraftAttachment(name, "text/plain", sha256, len(data)))
    return made


@pytest.fixture
def send(company: Company) -> Callable[..., OutgoingMail]:
    """Submit a mail to some addresses."""

    def submit(*addresses: str, by: User | None = None, **changes: object) -> OutgoingMail:
        return service.submit(draft(company, *addresses, **changes), by)

    return submit


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    """A salesperson."""
    return make_user()


@pytest.fixture
def quotation(company: Company, customer: Partner, seller: User) -> Document:
    """A quotation of the seller for the customer."""
    lines = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
    values = orders.QuotationValues(customer.id, clock.day_in("UTC"), lines)
    return orders.create_quotation(company, values, seller).document
