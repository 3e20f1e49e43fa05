"""No page asks the database more for having more rows to show: the statements of thirty rows are those of three."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bench.many_rows import copy_rows, world_of
from bench.outbox_list import fill
from core.db import db
from core.demonstration import load_demo
from core.testing.conformance.house import administrator_of
from core.testing.conformance.tour import Ids, ids_of
from tests.statements import statements

pytestmark = pytest.mark.both_databases

COPIES = 10
MAILS = 30
# What a row alone has, such as a last note, is asked once.
ONCE = 2
TRIES = 4  # ids, until a page has one to show


def test_no_page_asks_more_for_more_rows(app: Flask) -> None:
    app.register_error_handler(404, lambda _error: ("", 404))
    load_demo(app)
    fill(world_of(), 10, 10 + 3, 100)
    client = administrator_of(app)
    ids = ids_of(app)
    few = _asked(app, client, ids)
    assert len(few) > 100
    copy_rows(dict.fromkeys(("people", "products", "tickets", "documents"), COPIES), together=True)
    fill(world_of(), 20, 20 + MAILS, 100)
    many = _asked(app, client, ids, list(few))
    assert [
        f"{address}: {few[address]} statements for few rows, {count} for many"
        for address, count in many.items()
        if count > few[address] + ONCE
    ] == []


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
