"""No page asks the database more for having more rows to show: the statements of thirty rows are those of three.

That holds for everybody. The administrator reads the mails of all companies and is narrowed by nothing; what somebody
pays for their reach is seen with their own eyes only, and on SQLite: reach is asked for by the same statements on both.
Where a page goes about many rows otherwise than about few, many begin here where few end: both ways are counted.
"""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bench.growth import ROLES, Watch, people_of, plan_of
from bench.many_rows import copy_rows, world_of
from bench.outbox_list import fill
from core.db import db
from core.demonstration import load_demo
from core.partners import export as partner_export
from core.products import export as product_export
from core.testing.conformance.house import browser_of
from core.testing.conformance.tour import Ids, ids_of
from modules.outbox.mail_list import facet_counts, query_plan
from tests.statements import statements

COPIES = 10
MAILS = 60
MANY = 15
BOUNDS = (
    (query_plan, "FEW"),
    (query_plan, "FEW_TO_SORT"),
    (facet_counts, "FEW_TO_SORT"),
    (partner_export, "AT_A_TIME"),
    (product_export, "AT_A_TIME"),
)
"""What is gone about otherwise, or read in several goes, where there are so many."""
# What a row alone has, such as a last note, is asked once.
ONCE = 2
TRIES = 4  # ids, until a page has one to show


@pytest.mark.both_databases
def test_no_page_asks_more_for_more_rows(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    _asks_no_more_for_more_rows(app, monkeypatch, "administrator")


@pytest.mark.parametrize("role", [role for role in ROLES if role != "administrator"])
def test_no_page_asks_others_more_for_more_rows(
    app: Flask, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    _asks_no_more_for_more_rows(app, monkeypatch, role)


def _asks_no_more_for_more_rows(app: Flask, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    app.register_error_handler(404, lambda _error: ("", 404))
    load_demo(app)
    fill(world_of(), 10, 10 + 3, 100)
    client = browser_of(app, people_of(app)[role])
    ids = ids_of(app)
    few = _asked(app, client, ids)
    assert len(few) > (100 if role == "administrator" else 40)
    for module, bound in BOUNDS:
        monkeypatch.setattr(module, bound, MANY)
    copy_rows(dict.fromkeys(("people", "products", "tickets", "documents"), COPIES), together=True)
    fill(world_of(), 20, 20 + MAILS, 100)
    many = _asked(app, client, ids, list(few))
    assert [
        f"{address}: {few[address]} statements for few rows, {count} for many"
        for address, count in many.items()
        if count > few[address] + ONCE
    ] == []


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("address", "table"),
    [
        ("/sales/orders?sort=customer", "core_document"),
        ("/pos/tickets?sort=total", "core_document"),
        ("/outbox/mails?f=failed&sort=subject", "outbox_mail"),
        ("/lists/sales.orders/table", "core_document"),
    ],
)
def test_the_rows_of_a_page_are_looked_up_by_their_ids(app: Flask, address: str, table: str) -> None:
    """What is sorted is sorted by ids alone; and no index of all documents of a kind is read for some of them."""
    load_demo(app)
    client = browser_of(app, people_of(app)["administrator"])
    watch = Watch()
    answer = (
        client.post(address, data={"all": 1, "as": "csv"}) if "/lists/" in address else client.get(address)
    )
    assert answer.status_code == 200
    rows = [
        (statement, values)
        for _seconds, statement, values in watch.statements
        if f"WHERE {table}.id IN (" in statement
    ]
    assert rows
    if db.engine.dialect.name == "sqlite":
        for statement, values in rows:
            plan = plan_of(statement, values)
            assert plan.startswith(f"    SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)"), plan


def _asked(app: Flask, client: FlaskClient, ids: Ids, addresses: list[str] | None = None) -> dict[str, int]:
    """Return how many statements each page costs that answers."""
    counts: dict[str, int] = {}
    for tries in [[address] for address in addresses] if addresses else _addresses(app, ids):
        for address in tries:
            if not addresses:
                client.get(address)  # what is looked up once is known then
            with statements() as seen:
                answer = client.get(address)
            if answer.status_code == 200:
                counts[address] = len(seen)
                break
    db.session.remove()
    return counts


def _addresses(app: Flask, ids: Ids) -> list[list[str]]:
    """Return for each page the addresses of which the first that answers is looked at."""
    adapter = app.url_map.bind("localhost")
    return [
        [adapter.build(rule.endpoint, values) for values in list(ids.values_of(rule))[:TRIES]]
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.endpoint.endswith("static")
        if rule.endpoint not in {"core.sign_out", "core.sign_in"}
    ]
