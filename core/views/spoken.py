"""Forms of what is said in several languages, and belongs to one company or to all: products, taxes, terms, rules."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field

from core.config import SUPPORTED_LANGUAGES
from core.i18n import lazy_gettext as _l
from core.products.words import Spoken
from core.views.choices import LANGUAGE_CHOICES
from core.web.record_form import RecordForm

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


def spoken_values(form: FlaskForm) -> dict[str, Any]:
    """Return the column values of a form, its lines of other languages as translations."""
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    if "tax_id" in values:
        values["tax_id"] = int(values["tax_id"]) if values["tax_id"] else None
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
