"""`python -m bench.recipients`: who is found for a mailing, among a hundred thousand customers.

Each criterion, and several of them together, is counted as the page counts it, on SQLite and on PostgreSQL; the
fastest of some rounds counts. The promise is that a count takes no more than 300 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, text

from core import migrate
from core.app import create_app
from core.auth.models import User
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.partners.labels import LabelKind, save_label
from core.partners.lists import service
from core.partners.lists.criteria import How
from core.partners.models import MailConsent, Partner, partner_label
from core.products.models import Product
from core.testing.fixtures import test_settings
from core.testing.services import create_database, postgres_server
from modules.sales.models import Line, Order

CUSTOMERS = 100_000
ORDERS = 200_000
BATCH = 10_000
ROUNDS = 3
SLOW_MS = 300.0
PASSWORD = "a password for measuring"  # noqa: S105 (of a user who lives as long as the measurement)
DAY = dt.date(2026, 11, 30)


def fill(customers: int, orders: int) -> tuple[User, dict[str, Any]]:
    """Write customers, families, tags and orders; return who asks, and ids to ask for."""
    draw = random.Random(17)  # noqa: S311 (customers that nobody has)
    company = save_company(None, {"name": "C", "email": "c@example.com", "currency": "EUR", "language": "fr"})
    user = save_user(
        None, login="u@example.com", name="U", roles=["salesperson"], company_ids=[company.id],
        language="fr", timezone="Europe/Paris", password=PASSWORD,
    )  # fmt: skip
    families = [save_label(None, LabelKind.FAMILY, {"name": f"F{n}"}).id for n in range(10)]
    tags = [save_label(None, LabelKind.TAG, {"name": f"T{n}"}).id for n in range(10)]
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def customer(n: int) -> dict[str, Any]:
        willing = n % 3 == 0
        return {
            "id": n, "name": f"Customer {draw.getrandbits(40):x} {n}", "city": f"City {n % 500}",
            "email": f"c{n}@example.com", "zip_code": f"{n % 95000:05}", "family_id": draw.choice(families),
            "country": draw.choice(("FR", "FR", "FR", "BE", "DE")), "language": draw.choice(("fr", "en")),
            "consent": MailConsent.PROMOTIONAL if willing else MailConsent.NECESSARY,
            "consent_at": now if willing else None, "consent_source": "fair" if willing else "", "type": "customer",
        }  # fmt: skip

    def written(table: Any, count: int, row: Callable[[int], dict[str, Any]]) -> None:
        for start in range(1, count + 1, BATCH):
            with transaction() as session:
                session.execute(insert(table), [row(n) for n in range(start, min(start + BATCH, count + 1))])

    written(Partner.__table__, customers, customer)
    written(partner_label, customers // 2, lambda n: {"partner_id": n * 2, "label_id": draw.choice(tags)})
    written(
        Product.__table__,
        200,
        lambda n: {
            "id": n,
            "code": f"P{n}",
            "name": f"Product {n}",
            "company_id": company.id,
            "unit_price": 10,
        },
    )
    written(
        Document.__table__,
        orders,
        lambda n: {
            "id": n, "kind": "sales.order", "number": f"O{n}", "company_id": company.id, "language": "fr",
            "partner_id": draw.randint(1, customers), "owner_id": user.id, "currency": "EUR", "total": 12,
            "date": DAY - dt.timedelta(days=draw.randint(0, 1500)),
        },
    )  # fmt: skip
    written(Order.__table__, orders, lambda n: {"document_id": n, "state": "order"})
    written(
        Line.__table__,
        orders,
        lambda n: {
            "document_id": n, "position": 1, "product_id": draw.randint(1, 200), "description": "x",
            "quantity": 1, "unit_price": 10, "subtotal": 10,
        },
    )  # fmt: skip
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    return user, {"family": str(families[0]), "tag": str(tags[0])}


def questions(ids: dict[str, Any]) -> dict[str, list[tuple[str, How, dict[str, Any]]]]:
    """Return criteria, alone and together, by what they are called."""
    year = {"first": "2025-01-01", "last": "2025-12-31"}
    single: dict[str, tuple[str, dict[str, Any]]] = {
        "everybody": ("core.everybody", {}),
        "family": ("core.family", {"chosen": [ids["family"]]}),
        "tag": ("core.tag", {"chosen": [ids["tag"]]}),
        "country": ("core.country", {"chosen": ["FR"]}),
        "language": ("core.language", {"chosen": ["en"]}),
        "consent": ("core.consent", {"chosen": ["promotional"]}),
        "postal code": ("core.fields", {"field": "zip_code", "way": "begins", "text": "75"}),
        "name contains": ("core.fields", {"field": "name", "way": "contains", "text": "abc"}),
        "bought in a year": ("sales.bought", {"product_id": None, **year}),
        "bought a product": ("sales.bought", {"product_id": 7, **year}),
        "no order since": ("sales.no_order_since", {"day": "2026-01-01", "customers": True}),
        "no order, new too": ("sales.no_order_since", {"day": "2026-01-01", "customers": False}),
    }
    asked = {title: [(name, How.ADD, values)] for title, (name, values) in single.items()}
    asked["five together"] = [
        ("core.country", How.ADD, single["country"][1]),
        ("sales.bought", How.KEEP, single["bought in a year"][1]),
        ("core.tag", How.TAKE, single["tag"][1]),
        ("core.family", How.ADD, single["family"][1]),
        ("sales.no_order_since", How.TAKE, single["no order since"][1]),
    ]
    return asked


def measure(app: Flask, user: User, ids: dict[str, Any]) -> None:
    """Print how long each count takes, with nobody and with half of all selected, and the first page of rows."""
    with app.test_request_context():
        for chosen in ("nobody selected", "half selected"):
            if chosen != "nobody selected":
                service.reset(user)
                service.add_step(user, "core.language", How.ADD, {"chosen": ["fr"]})
                start = time.perf_counter()
                picked = service.pick(user)
                print(f"  double arrow, {picked} customers: {(time.perf_counter() - start) * 1000:.0f} ms")
            for title, steps in questions(ids).items():
                row = service.working_list(user)
                for step in list(row.steps) if row is not None else []:
                    service.remove_step(user, step["key"])
                for name, how, values in steps:
                    service.add_step(user, name, how, values)
                took, own, counts = fastest(
                    lambda: service.count(service.found_by(service.working_list(user), user))
                )
                mark = " <-- slow" if took > SLOW_MS else ""
                print(f"  {chosen:16} {title:20} {counts.total:7} {took:6.0f} ms, CPU {own:.0f} ms{mark}")


def fastest(ask: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the milliseconds of the fastest of some rounds, by the clock and of this process, and the answer."""
    best, own, answer = float("inf"), float("inf"), None
    for _round in range(ROUNDS):
        start, used = time.perf_counter(), time.process_time()
        answer = ask()
        best = min(best, (time.perf_counter() - start) * 1000)
        own = min(own, (time.process_time() - used) * 1000)
        db.session.rollback()
    return best, own, answer


@contextlib.contextmanager
def opened(folder: Path, postgres: str) -> Iterator[Flask]:
    """Yield the application on an empty database."""
    url = create_database(postgres, "recipients") if postgres else ""
    settings = test_settings(folder, database_url=url) if url else test_settings(folder)
    app = create_app(settings)
    with app.app_context():
        migrate.upgrade(app)
        yield app


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--on", choices=("sqlite", "postgresql"), nargs="*", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in options.on:
            server = ""
            if name == "postgresql":
                place = folder / "postgres"
                place.mkdir()
                server = stack.enter_context(postgres_server(place))
            data = folder / name
            data.mkdir(exist_ok=True)
            with opened(data, server) as app:
                print(f"{name}, {options.customers} customers, {options.orders} orders")
                with app.test_request_context():
                    user, ids = fill(options.customers, options.orders)
                measure(app, user, ids)


if __name__ == "__main__":
    main()
