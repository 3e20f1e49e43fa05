"""What test_toy_module.py does inside an installation, in a process that sees the toy: issue, deliver, ask.

Prints one JSON object; settings come from the environment, as for any other process of Envoi.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import inspect, select

from core import jobs
from core.app import create_app
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from core.registry import current_registry
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption
from modules.mail_config.servers.service import save_server
from modules.outbox.models import OutgoingMail

PASSWORD = "correct horse battery"


def issue(app: Flask) -> dict[str, Any]:
    """Make a company, users and a customer, and issue a voucher on the toy's own page."""
    values = {"name": "Maison", "email": "a@maison.example.com", "currency": "EUR", "language": "fr"}
    company = save_company(None, values)
    for role, language in (("salesperson", "en"), ("administrator", "fr")):
        save_user(
            None,
            login=f"{role}@maison.example.com",
            name=role,
            roles=[role],
            company_ids=[company.id],
            language=language,
            password=PASSWORD,
        )
    customer = save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "fr"})
    client = signed_in(app, "salesperson@maison.example.com")
    response = client.post(
        "/toy/vouchers/new", data={"partner_id": customer.id, "amount": "25.50", "greeting": "Merci !"}
    )
    document = db.session.scalars(select(Document)).one()
    return {
        "status": response.status_code,
        "location": response.headers.get("Location"),
        "kind": document.kind,
        "number": document.number,
        "total": document.total == Decimal("25.50"),
    }


def deliver(app: Flask) -> dict[str, Any]:
    """Let what waits leave through a real SMTP server, as the worker would."""
    with SmtpLab() as lab:
        server = save_server(
            None,
            {
                "name": "Lab",
                "host": lab.host,
                "port": lab.port,
                "encryption": Encryption.NONE,
                "username": "",
                "from_filter": "",
                "priority": 1,
                "active": True,
            },
            None,
        )
        with transaction():
            server.tested_fingerprint = server.fingerprint
        jobs.bind_process(app)
        ids = list(db.session.scalars(select(OutgoingMail.id)))
        end_reading()  # else this session would go on seeing what was true before
        jobs.run("outbox.deliver_mails", ids)
        mail = db.session.scalars(select(OutgoingMail)).one()
        if "toy.expire" in current_registry().jobs:
            jobs.run("toy.expire")
        return {
            "state": mail.state.value,
            "subject": mail.subject,
            "attachments": [row.name for row in mail.attachments],
        }


def ask(app: Flask, login: str, *paths: str) -> dict[str, Any]:
    """Open pages as a user."""
    client = signed_in(app, login)
    pages = {}
    for path in paths:
        response = client.get(path)
        page = response.text if response.mimetype == "text/html" else ""
        pages[path] = {"status": response.status_code, "text": page}
    return {
        "pages": pages,
        "tables": inspect(db.engine).get_table_names(),
        "kinds": sorted(current_registry().kinds),
        "jobs": sorted(current_registry().jobs),
        "permissions": sorted(current_registry().permissions),
        "partner": db.session.scalars(select(Partner.id)).first(),
    }


def signed_in(app: Flask, login: str) -> Any:
    client = app.test_client()
    response = client.post("/sign-in", data={"login": login, "password": PASSWORD})
    assert response.status_code == 302, response.text
    return client


if __name__ == "__main__":
    app = create_app()  # not in testing mode: a page that breaks must answer as it would for a person
    app.config["WTF_CSRF_ENABLED"] = False
    command, *arguments = sys.argv[1:]
    with app.app_context():
        print(json.dumps({"issue": issue, "deliver": deliver, "ask": ask}[command](app, *arguments)))  # noqa: T201
