from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from itsdangerous import URLSafeSerializer
from sqlalchemy import ColumnElement, Select, select

from core.companies.models import Company
from core.config import Settings
from core.db import end_reading, transaction
from core.documents.models import Document
from core.testing.fixtures import running_app
from core.web.listing import (
    Choice,
    Count,
    Criteria,
    Facet,
    Filter,
    ListPage,
    ListSpec,
    Narrowed,
    SortKey,
    count_up_to,
    paginate,
)

both = pytest.mark.both_databases

SPEC = ListSpec(
    identity=Document.id,
    sorts=(
        SortKey("number", "Number", Document.number, lambda row: row.number),
        SortKey("total", "Total", Document.total, lambda row: row.total, descending=True),
        SortKey("date", "Date", Document.date, lambda row: row.date),
        SortKey("made", "Made", Document.created_at, lambda row: row.created_at),
    ),
    filters=(
        Filter("cheap", "Cheap", Document.total < 2, "price"),
        Filter("dear", "Dear", Document.total > 3, "price"),
        Filter("french", "French", Document.language == "fr"),
    ),
    search=lambda words: Document.number.icontains(words, autoescape=True),
)
ADDRESS = "/documents/7"  # any page will do; the list keeps the arguments of the page it is on


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


def add(company: Company, number: str, total: str = "1", **values: object) -> int:
    with transaction() as session:
        row = Document(
            kind="x",
            company_id=company.id,
            currency="EUR",
            number=number,
            total=Decimal(total),
            **{"language": "en", "date": dt.date(2026, 3, 12), **values},
        )
        session.add(row)
        session.flush()
        made = row.id
    end_reading()
    return made


def page(
    app: Flask, address: str = ADDRESS, size: int = 3, spec: ListSpec = SPEC, **keywords: object
) -> ListPage[Document]:
    """Return the page of an address; its own addresses can be followed by `follow`."""
    end_reading()
    with app.test_request_context(address):
        found = paginate(select(Document), spec, size=size, **keywords)  # type: ignore[arg-type]
        found.extra = {
            "next": found.url(after=found.next_token) if found.next_token else "",
            "previous": found.url(before=found.previous_token) if found.previous_token else "",
        }
    return found


def numbers(found: ListPage[Document]) -> list[str]:
    return [row.number for row in found.rows]


def walk(app: Flask, address: str, direction: str) -> tuple[list[list[str]], ListPage[Document]]:
    """Follow the pager to its end; return the pages and the last of them."""
    found = page(app, address)
    seen = [numbers(found)]
    while found.extra[direction]:
        assert len(seen) < 50, "the pager goes round in a circle"
        found = page(app, found.extra[direction])
        seen.append(numbers(found))
    return seen, found


@both
def test_pages_show_each_row_once_forwards_and_backwards_over_ties(app: Flask, company: Company) -> None:
    # Ten rows, with ties in everything but the number.
    for count in range(10):
        add(company, f"N{count:02}", str(count // 4), date=dt.date(2026, 1, 1 + count % 2))
    for sort in ("number", "total", "date", "made"):
        for direction in ("asc", "desc"):
            walk_there_and_back(app, sort, direction)


def walk_there_and_back(app: Flask, sort: str, direction: str) -> None:
    forwards, last = walk(app, f"{ADDRESS}?sort={sort}&dir={direction}", "next")
    assert [len(rows) for rows in forwards] == [3, 3, 3, 1]
    flat = [number for rows in forwards for number in rows]
    assert sorted(flat) == [f"N{count:02}" for count in range(10)]
    backwards = [numbers(last)]
    while last.extra["previous"]:
        last = page(app, last.extra["previous"])
        backwards.append(numbers(last))
    assert [number for rows in reversed(backwards) for number in rows] == flat
    assert not last.previous_token


@both
def test_rows_that_come_and_go_meanwhile_move_nothing(app: Flask, company: Company) -> None:
    ids = {count: add(company, f"N{count:02}") for count in range(0, 20, 2)}
    first = page(app)
    assert numbers(first) == ["N00", "N02", "N04"]
    add(company, "N03")  # on the page that was seen
    add(company, "N05")  # on the page to come
    with transaction() as session:
        session.delete(session.get_one(Document, ids[4]))  # the row whose key leads on
    second = page(app, first.extra["next"])
    assert numbers(second) == ["N05", "N06", "N08"]
    back = page(app, second.extra["previous"])
    assert numbers(back) == ["N00", "N02", "N03"]


def test_a_page_that_has_emptied_meanwhile_leads_back(app: Flask, company: Company) -> None:
    ids = [add(company, f"N{count}") for count in range(5)]
    first = page(app)
    with transaction() as session:
        for gone in ids[3:]:
            session.delete(session.get_one(Document, gone))
    empty = page(app, first.extra["next"])
    assert empty.rows == []
    assert numbers(page(app, empty.extra["previous"])) == ["N0", "N1"]


def test_a_single_page_has_no_pager(app: Flask, company: Company) -> None:
    for count in range(3):
        add(company, f"N{count}")
    only = page(app)
    assert (only.next_token, only.previous_token) == (None, None)


def unsigned(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


HOSTILE = {
    "empty": "",
    "noise": "%00%ff",
    "long": "A" * 5000,
    "deep": base64.urlsafe_b64encode(b"[" * 3000).decode(),
    "unsigned": unsigned("v", "N05", 5),
    "number for text": unsigned("v", 5, 5),
    "list": unsigned("v", ["N05"], 5),
    "not a number": unsigned("d", "NaN", 5),
    "huge id": unsigned("v", "N05", 10**30),
    "naive time": unsigned("t", "2026-01-01T00:00:00", 5),
    "nul": unsigned("v", "\0", 5),
}


@both
@pytest.mark.parametrize("parameter", ["after", "before"])
def test_a_token_that_somebody_has_typed_leads_to_the_first_page(
    app: Flask, company: Company, parameter: str
) -> None:
    for count in range(5):
        add(company, f"N{count:02}")
    for name, token in HOSTILE.items():
        for sort in ("number", "total", "made"):
            found = page(app, f"{ADDRESS}?sort={sort}&dir=asc&{parameter}={token}")
            assert numbers(found) == ["N00", "N01", "N02"], name
            assert found.previous_token is None, name


@both
def test_a_token_of_another_order_leads_to_the_first_page(app: Flask, company: Company) -> None:
    for count in range(5):
        add(company, f"N{count:02}", str(count))
    token = page(app).next_token
    assert numbers(page(app, f"{ADDRESS}?sort=total&dir=asc&after={token}")) == ["N00", "N01", "N02"]


def test_a_token_of_another_key_leads_to_the_first_page(app: Flask, company: Company) -> None:
    for count in range(5):
        add(company, f"N{count:02}")
    forged = URLSafeSerializer("another secret", salt="page:core.document:number").dumps(["v", "N01", 2])
    assert numbers(page(app, f"{ADDRESS}?after={forged}")) == ["N00", "N01", "N02"]


QUERIES = [
    ("", ["A1", "B2", "C5", "D9"]),
    ("f=cheap", ["A1"]),
    ("f=cheap&f=dear", ["A1", "C5", "D9"]),
    ("f=dear&f=french", ["D9"]),
    ("f=dear&f=french&f=nonsense", ["D9"]),
    ("f=nonsense", ["A1", "B2", "C5", "D9"]),
    ("q=c5", ["C5"]),
    ("q=%20c5%20", ["C5"]),
    ("q=%25", []),
    ("q=_", []),
    ("q=c%005", ["C5"]),
    ("q=" + "x" * 5000, []),
    ("sort=nonsense&dir=sideways", ["A1", "B2", "C5", "D9"]),
    ("sort=total", ["D9", "C5", "B2", "A1"]),
    ("sort=total&dir=asc", ["A1", "B2", "C5", "D9"]),
]


@both
def test_filters_of_a_group_are_joined_by_or_and_groups_by_and(app: Flask, company: Company) -> None:
    for number, total, language in (
        ("A1", "1", "fr"),
        ("B2", "2", "fr"),
        ("C5", "5", "en"),
        ("D9", "9", "fr"),
    ):
        add(company, number, total, language=language)
    for query, found in QUERIES:
        assert numbers(page(app, f"{ADDRESS}?{query}", size=10)) == found, query


def test_default_filters_hold_until_the_person_touches_them(app: Flask, company: Company) -> None:
    add(company, "A1", "1")
    add(company, "D9", "9")
    assert numbers(page(app, default_filters=["dear"])) == ["D9"]
    for query in ("all=1", "q=", "f=cheap&f=dear"):
        assert numbers(page(app, f"{ADDRESS}?{query}", default_filters=["dear"])) == ["A1", "D9"]


def test_addresses_keep_what_is_in_force(app: Flask, company: Company) -> None:
    for count in range(5):
        add(company, f"N{count}", "1")
    found = page(app, f"{ADDRESS}?q=N&f=cheap&sort=total&dir=asc")
    parts = urlsplit(found.extra["next"])
    assert parts.path == ADDRESS
    query = parse_qs(parts.query)
    assert query.pop("after")
    assert query == {"q": ["N"], "f": ["cheap"], "sort": ["total"], "dir": ["asc"]}
    with app.test_request_context(ADDRESS):
        found.extra = {}
        assert parse_qs(urlsplit(found.toggle_url("french")).query)["f"] == ["cheap", "french"]
        assert "f" not in parse_qs(urlsplit(found.toggle_url("cheap")).query)
        assert parse_qs(urlsplit(found.sort_url("total")).query)["sort"] == ["total"]
        assert "dir" not in parse_qs(
            urlsplit(found.sort_url("number")).query
        ) or "desc" not in found.sort_url("number")


def test_turning_the_order_round_is_one_click(app: Flask, company: Company) -> None:
    add(company, "A1")
    found = page(app)
    with app.test_request_context(ADDRESS):
        found.extra = {}
        assert parse_qs(urlsplit(found.sort_url("number")).query)["dir"] == ["desc"]
        assert parse_qs(urlsplit(found.sort_url("total")).query) == {"sort": ["total"], "dir": ["desc"]}
    add(company, "B2")
    assert numbers(page(app, f"{ADDRESS}?dir=desc")) == ["B2", "A1"]


# -- facets --------------------------------------------------------------------------------------------


def _language(value: str) -> ColumnElement[bool] | None:
    return Document.language == value if value in {"en", "fr"} else None


FACETED = dataclasses.replace(
    SPEC,
    sorts=(*SPEC.sorts, SortKey("dearest", "Dearest", Document.total, lambda row: row.total, within="dear")),
    facets=(
        Facet(
            "language",
            "Language",
            lambda: [Choice("en", "English"), Choice("fr", "French")],
            _language,
        ),
        Facet("currency", "Currency", list, lambda value: Document.currency == value, str.upper),
    ),
    one_of_group=True,
)


@both
def test_a_facet_holds_one_value_and_stands_beside_search_and_filters(app: Flask, company: Company) -> None:
    for number, total, language in (("A1", "1", "fr"), ("B2", "5", "en"), ("C3", "9", "fr")):
        add(company, number, total, language=language)
    for query, found in {
        "language=fr": ["A1", "C3"],
        "language=fr&f=dear": ["C3"],
        "language=fr&language=en": ["A1", "C3"],
        "language=nonsense": ["A1", "B2", "C3"],
        "language=fr&currency=EUR&q=a": ["A1"],
        "currency=" + "x" * 5000: [],
    }.items():
        assert numbers(page(app, f"{ADDRESS}?{query}", size=10, spec=FACETED)) == found, query


def test_facets_stay_in_the_address_until_they_are_taken_away(app: Flask, company: Company) -> None:
    for count in range(5):
        add(company, f"N{count}", language="fr")
    found = page(app, f"{ADDRESS}?q=N&f=cheap&language=fr&currency=EUR", spec=FACETED)
    query = parse_qs(urlsplit(found.extra["next"]).query)
    assert query.pop("after")
    assert query == {"q": ["N"], "f": ["cheap"], "language": ["fr"], "currency": ["EUR"]}
    with app.test_request_context(ADDRESS):
        found.extra = {}
        chips = {chip.title: (chip.label, parse_qs(urlsplit(chip.url).query)) for chip in found.chips()}
        assert chips["Language"] == ("French", {"q": ["N"], "f": ["cheap"], "currency": ["EUR"]})
        assert chips["Currency"][0] == "EUR"
        assert parse_qs(urlsplit(found.choose_url("language", "en")).query)["language"] == ["en"]
        assert parse_qs(urlsplit(found.clear_url()).query) == {"all": ["1"]}
        assert found.chosen


def test_of_a_group_only_one_filter_holds_where_a_list_wants_that(app: Flask, company: Company) -> None:
    add(company, "A1", "1")
    found = page(app, f"{ADDRESS}?f=cheap&f=french", spec=FACETED)
    with app.test_request_context(ADDRESS):
        assert parse_qs(urlsplit(found.toggle_url("dear")).query)["f"] == ["french", "dear"]
        assert parse_qs(urlsplit(found.toggle_url("cheap")).query)["f"] == ["french"]


@both
def test_an_order_that_belongs_to_a_filter_turns_it_on_and_goes_with_it(app: Flask, company: Company) -> None:
    for number, total in (("A1", "1"), ("B2", "7"), ("C3", "5")):
        add(company, number, total)
    found = page(app, spec=FACETED)
    with app.test_request_context(ADDRESS):
        found.extra = {}
        assert parse_qs(urlsplit(found.sort_url("dearest")).query) == {
            "f": ["dear"],
            "sort": ["dearest"],
            "dir": ["asc"],
        }
    assert numbers(page(app, f"{ADDRESS}?sort=dearest&f=dear", spec=FACETED)) == ["C3", "B2"]
    assert numbers(page(app, f"{ADDRESS}?sort=dearest", spec=FACETED)) == ["A1", "B2", "C3"]


@both
def test_a_list_may_say_itself_which_index_leads(app: Flask, company: Company) -> None:
    for count in range(7):
        add(company, f"N{count}", "2")

    def few(statement: Select[Any], criteria: Criteria, _sort: SortKey) -> Narrowed:
        return Narrowed(statement.where(Document.number != criteria.facets["language"]), few=True)

    spec = dataclasses.replace(FACETED, narrow=few)
    found = page(app, f"{ADDRESS}?language=fr", spec=spec)
    assert numbers(found) == ["N0", "N1", "N2"]
    assert numbers(page(app, found.extra["next"], spec=spec)) == ["N3", "N4", "N5"]


@both
def test_a_count_goes_no_further_than_its_bound(app: Flask, company: Company) -> None:
    for count in range(4):
        add(company, f"N{count}")
    with app.test_request_context(ADDRESS):
        assert [str(count_up_to(select(Document), bound)) for bound in (3, 4, 5)] == ["3+", "4", "4"]
        assert str(Count(1000, exact=False)) == "1,000+"
