"""What test_scaffold.py does inside an installation with a module that `envoi module new` made.

Prints one JSON object; settings come from the environment, as for any other process of Envoi.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from flask import Flask
from sqlalchemy import select

from core.app import create_app
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.partners.service import save_partner
from tests.conformance.toy_installation import PASSWORD, deliver, signed_in


def write(app: Flask, name: str) -> dict[str, Any]:
    """Write a document on the module's page, change it there, and read its list, as a salesperson."""
    company = save_company(
        None, {"name": "Maison", "email": "a@maison.example.com", "currency": "EUR", "language": "fr"}
    )
    save_user(
        None,
        login="seller@maison.example.com",
        name="Seller",
        roles=["salesperson"],
        company_ids=[company.id],
        language="fr",
        password=PASSWORD,
    )
    customer = save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "fr"})
    client = signed_in(app, "seller@maison.example.com")
    page = client.get(f"/{name}/documents/new").text
    filled = {"partner_id": customer.id, "subject": "Deux cartons", "amount": "25,50", "text": "Fragile"}
    made = client.post(f"/{name}/documents/new", data=filled)
    document = db.session.scalars(select(Document)).one()
    changed = client.post(
        f"{made.headers['Location']}/edit", data=filled | {"amount": "30", "revision": document.revision}
    )
    db.session.rollback()
    return {
        "asks_server": "/people?only=customers" in page,
        "page": client.get(made.headers["Location"]).text,
        "edit": client.get(f"{made.headers['Location']}/edit").text,
        "made": made.status_code,
        "changed": changed.status_code,
        "number": document.number,
        "revision": document.revision,
        "total": str(document.total.normalize()),
        "list": client.get(f"/{name}/documents").text,
    }


if __name__ == "__main__":
    app = create_app()  # not in testing mode: a page that breaks must answer as it would for a person
    app.config["WTF_CSRF_ENABLED"] = False
    command, *arguments = sys.argv[1:]
    with app.app_context():
        print(json.dumps({"write": write, "deliver": deliver}[command](app, *arguments)))  # noqa: T201
