"""Forms of what is said in several languages, and belongs to one company or to all: products, taxes, terms, rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import Field, SelectChoice

from core.companies.models import Company
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.i18n import lazy_gettext as _l
from core.products.words import Spoken
from core.views.choices import LANGUAGE_CHOICES
from core.web.record_form import RecordForm


def company_choices(companies: Iterable[tuple[int, str]]) -> list[SelectChoice]:
    """Return the companies to choose from, all of them first."""
    return [
        SelectChoice("", _l("All companies")),
        *(SelectChoice(str(number), name) for number, name in companies),
    ]


IN_OTHER_LANGUAGES = {
    "label": _l("In other languages"),
    "description": _l("For documents in that language. Empty: as above."),
    "min_entries": len(LANGUAGE_CHOICES),
    "max_entries": len(LANGUAGE_CHOICES),
}


class SpokenForm(RecordForm):
    """A form with a line for each language."""

    def as_text(self, field: Field) -> str:
        """Return the lines of other languages as people read them."""
        if field.short_name != "words":
            return super().as_text(field)
        rows = [[text for text in row.data.values() if text] for row in field]
        return "; ".join(f"{row[0]}: {', '.join(row[1:])}" for row in rows if len(row) > 1)


def offered_companies(present: int | None) -> list[tuple[int, str]]:
    """Return the companies to choose from; the present one stays, archived or not, or saving would take it away."""
    offered = Company.active | (Company.id == present)
    rows = db.session.execute(select(Company.id, Company.name).where(offered).order_by(Company.name))
    return [(number, name) for number, name in rows]


def spoken_values(form: FlaskForm) -> dict[str, Any]:
    """Return the column values of a form, its lines of other languages as translations."""
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    for name in ("tax_id", "company_id"):
        if name in values:
            values[name] = int(values[name]) if values[name] else None
    spoken = {row.pop("language"): row for row in values.pop("words")}
    spoken = {language: row for language, row in spoken.items() if language in SUPPORTED_LANGUAGES}
    if spoken:  # else posted by somebody who does not know these fields
        values["translations"] = {
            language: words
            for language, row in spoken.items()
            if (words := {name: text.strip() for name, text in row.items() if text and text.strip()})
        }
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def words_of(row: Spoken | None) -> list[dict[str, str]]:
    """Return what the form shows of the translations: a line for each language."""
    known = row.translations if row is not None else {}
    return [{"language": language, **known.get(language, {})} for language in SUPPORTED_LANGUAGES]


def one_language_a_line(form: FlaskForm) -> None:
    """Let each line of other languages be of its own language."""
    for entry, choice in zip(form.words, LANGUAGE_CHOICES, strict=False):
        entry.form.language.choices = [choice]
