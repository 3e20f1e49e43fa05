"""One module's demonstration does not stop the house, and its fault is told with its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select

from core import cli, demonstration
from core.contract import Module
from core.db import db
from core.documents.behavior import ShippedTemplate
from core.documents.checked import BehaviorError, fields_of, unknown_fields
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.manifest import CORE
from modules.outbox.models import OutgoingMail
from modules.pos import behavior as pos_behavior
from modules.sales.models import Order

TICKET = type(pos_behavior.ticket)


def documents(kind: str) -> int:
    return db.session.scalar(select(func.count()).where(Document.kind.startswith(kind))) or 0


def answering(change: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return a `fields()` of tickets whose answer was changed."""
    fields: Callable[..., Mapping[str, object]] = TICKET.fields

    def changed(self: object, document: Document) -> Any:
        values = dict(fields(self, document))
        return change(values) or values

    return changed


def fails(_values: dict[str, Any]) -> None:
    raise KeyError("cashier")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda values: values.pop("customer.name") and None, "fields() gives no value for customer.name."),
        (lambda values: values.update(colour="red"), "fields() gives colour, which is not in the catalogue."),
        (
            lambda values: values.update({"customer.name": None}),
            "The field customer.name is a NoneType, not text, number or date.",
        ),
        (
            lambda values: values.update({"customer.name": 7}),
            "The field customer.name is declared as text, but its value is 7.",
        ),
        (lambda _values: ["x"], "fields() returns a list, not a mapping of names to values."),
        (fails, "fields() raises KeyError: 'cashier'."),
    ],
)
def test_a_fault_in_fields_is_told_with_module_kind_number_and_field(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], Any],
    fault: str,
) -> None:
    monkeypatch.setattr(TICKET, "fields", answering(change))
    loaded = demonstration.load_demo(app)
    assert loaded is not None
    assert loaded.faults == {
        "pos": (
            "The demonstration of the module pos was not loaded: "
            f"The module pos has a fault (pos.ticket C1-000001): {fault}"
        )
    }
    assert documents("pos.") == 0, "taken back alone"
    assert documents("sales.") > 10
    assert db.session.scalar(select(func.count()).select_from(OutgoingMail)) == 1, "the others go on"


def test_the_command_tells_it_and_fails(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TICKET, "fields", answering(lambda values: values.pop("customer.name") and None))
    monkeypatch.setattr(cli, "_application", [app])
    done = CliRunner().invoke(cli.cli, ["demo"])
    assert done.exit_code != 0
    assert "pos.ticket C1-000001): fields() gives no value for customer.name." in str(done.exception)
    assert "Everything else was loaded." in str(done.exception)


def broken(_app: Flask) -> None:
    raise ZeroDivisionError("division by zero")


def test_what_a_demonstration_raises_is_told_with_its_place(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Order, "__init__", lambda *_args, **_keywords: broken(app))
    loaded = demonstration.load_demo(app)
    assert loaded is not None
    told = loaded.faults["sales"]
    assert told.startswith(
        "The demonstration of the module sales was not loaded: ZeroDivisionError: division by zero ("
    )
    assert told.endswith(").")
    assert "orders.py, line " in told
    assert told in caplog.text
    assert documents("pos.") == 3


def test_the_demonstration_of_core_must_load(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = app.extensions["envoi_registry"]
    core: Module = replace(CORE, demo=f"{__name__}:broken")
    monkeypatch.setitem(
        app.extensions, "envoi_registry", replace(registry, modules=(core, *registry.modules[1:]))
    )
    with pytest.raises(ZeroDivisionError):
        demonstration.load_demo(app)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (fails, "pdf_html() raises KeyError: 'cashier'."),
        (lambda _document: None, "pdf_html() returns a NoneType, not text."),
    ],
)
def test_a_fault_in_the_pdf_is_told_with_its_names(
    app: Flask, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], Any], fault: str
) -> None:
    assert demonstration.load_demo(app) is not None
    monkeypatch.setattr(TICKET, "pdf_html", lambda _self, document: answer(document))
    document = db.session.scalars(
        select(Document).where(Document.kind == "pos.ticket").order_by(Document.id)
    ).first()
    assert document is not None
    with pytest.raises(RenderError) as caught:
        render_document(document, language="en")
    assert str(caught.value) == f"The module pos has a fault (pos.ticket {document.number}): {fault}"


def test_a_fault_is_a_sentence_where_somebody_writes_a_mail(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demonstration.load_demo(app) is not None
    document = db.session.scalars(
        select(Document).where(Document.kind == "pos.ticket").order_by(Document.id)
    ).first()
    assert document is not None
    assert fields_of(document)["customer.name"] is not None
    monkeypatch.setattr(TICKET, "fields", answering(fails))
    with pytest.raises(
        BehaviorError, match=r"has a fault \(pos.ticket C1-000001\): fields\(\) raises KeyError"
    ):
        fields_of(document)


def test_a_shipped_template_with_an_unknown_field_is_told() -> None:
    texts = {
        "en": ("Hello {{ customer.nmae }}", "<p>{% if company.vat %}{{ till | upper }}{% endif %}</p>"),
        "fr": ("{{ customer.name", ""),
    }
    shipped = ShippedTemplate("Receipt", "{{ document.number }}-{{ x.y.z }}", texts)
    assert [
        sentence.replace("“Receipt”, ", "") for sentence in unknown_fields(pos_behavior.ticket, shipped)
    ] == [
        "attachment_name: there is no field x.y.z.",
        "subject (en): there is no field customer.nmae.",
        "body (en): there is no field till.",
        "subject (fr): unexpected end of template, expected 'end of print statement'.",
    ]
