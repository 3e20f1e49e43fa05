"""The page of a form: what people fill in is a row, what they do not is hidden, and lines are a table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask, render_template
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import FieldList, Form, FormField, HiddenField, StringField

from core.web.forms import LocalDecimalField, required


class LineForm(Form):  # type: ignore[misc]
    text = StringField("Text", required())
    quantity = LocalDecimalField("Quantity")
    position = HiddenField()


class NoteForm(FlaskForm):  # type: ignore[misc]
    subject = StringField("Subject", description="What it is about")
    lines = FieldList(FormField(LineForm), "Lines", min_entries=2)
    revision = HiddenField()


class MarkedForm(NoteForm):
    marks = FieldList(StringField("Mark"), "Marks", min_entries=1)


def page_of(app: Flask, posted: dict[str, Any]) -> str:
    with app.test_request_context(method="POST", data=posted):
        form = MarkedForm(MultiDict(posted), revision=3, meta={"csrf": False})
        form.validate()
        html: str = render_template("core/form.html", form=form, title="Note", crumbs=[])
    return " ".join(html.split())


@pytest.fixture
def page(app: Flask) -> str:
    return page_of(
        app, {"lines-0-text": "A box", "lines-0-quantity": "two", "lines-1-text": "", "revision": "3"}
    )


def test_a_hidden_field_is_no_row(page: str) -> None:
    assert re.search(r'<input id="revision" name="revision" type="hidden" value="3">', page)
    assert "Revision" not in page
    assert "Position" not in page
    assert "What it is about" in page


def test_lines_are_a_table_with_their_fields_and_their_errors(page: str) -> None:
    assert [" ".join(head.split()) for head in re.findall(r'<th scope="col">(.*?)</th>', page)] == [
        'Text <span class="required" aria-hidden="true">*</span>',
        "Quantity",
        "Marks",
    ]
    rows = re.findall(r"<tr> <td.*?</tr>", page)
    assert len(rows) == 3
    assert 'value="A box"' in rows[0]
    assert 'name="lines-0-position" type="hidden"' in rows[0]
    assert "This is not a number." in rows[0]
    assert 'aria-describedby="lines-0-quantity-errors"' in rows[0]
    assert "This field is required." in rows[1]
    assert "This field is required." not in rows[0]
    assert "{" not in "".join(rows), "no dictionary is shown"


def test_lines_without_an_entry_are_an_empty_table(app: Flask) -> None:
    class Empty(FlaskForm):  # type: ignore[misc]
        lines = FieldList(FormField(LineForm), "Lines")

    with app.test_request_context():
        html = render_template("core/form.html", form=Empty(meta={"csrf": False}), title="Note", crumbs=[])
    assert "Lines" in html
    assert "<table>" not in html
