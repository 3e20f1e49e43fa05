"""Mail templates, rendered: what a text with formulas says about one document.

A template sees plain values of the catalogue and nothing else. What a text can
say is decided by `sandbox`; `values` shows and computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext

from core.documents.behavior import FieldValue
from core.i18n import lazy_gettext as _l
from core.mail.addresses import one_line
from modules.mail_config.template_language.sandbox import MAX_SOURCE, BadTemplateError, compiled
from modules.mail_config.template_language.values import (
    CURRENCY,
    EMPTY,
    FormulaError,
    LazyGroup,
    bounded_work,
)

__all__ = ["MAX_OUTPUT", "MAX_SOURCE", "BadTemplateError", "Rendered", "render", "render_line"]

MAX_OUTPUT = 500_000  # characters; a short formula can make a long text
MAX_SUBJECT = 500  # characters, as the column has


@dataclass(frozen=True, slots=True)
class Rendered:
    """Subject and body of a template, with the values of one document."""

    subject: str
    body_html: str


def render(
    subject: str, body: str, fields: Mapping[str, FieldValue | LazyGroup], *, currency: str = ""
) -> Rendered:
    """Return subject and body of a template for the fields of one document, in the current locale.

    Args:
        subject: Template of the subject, plain text.
        body: Template of the body, HTML.
        fields: A value for each name of the catalogue.
        currency: What `money` takes for numbers that have no currency of their own.

    Raises:
        BadTemplateError: It cannot be read, a field is unknown, or a formula cannot be computed.
    """
    return Rendered(
        subject=render_line(subject, fields, currency=currency, field="subject")[:MAX_SUBJECT],
        body_html=_render(body, values_for(fields, currency), "body"),
    )


def render_line(
    pattern: str,
    fields: Mapping[str, FieldValue | LazyGroup],
    *,
    currency: str = "",
    field: str = "attachment_name",
) -> str:
    """Return one line of plain text, such as a file name.

    Raises:
        BadTemplateError: As for `render`.
    """
    return one_line(_render(pattern, values_for(fields, currency), field))


def is_html(field: str) -> bool:
    """Return True for the fields of a template that hold HTML: `body`, `body_en` and so on."""
    return field.partition("_")[0] == "body"


def values_for(fields: Mapping[str, FieldValue | LazyGroup], currency: str) -> dict[str, Any]:
    """Return what a template sees: `{"customer": {"name": …}}` for `{"customer.name": …}`."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = EMPTY if value == "" else value
    return {**tree, CURRENCY: currency}


def reason(error: Exception) -> object:
    """Return in words why a formula could not be computed."""
    if isinstance(error, FormulaError):
        return error.message
    if isinstance(error, TypeError):
        return gettext("A formula compares or computes what does not go together.")
    return str(error)[:200]


def _render(source: str, values: dict[str, Any], field: str) -> str:
    parts: list[str] = []
    size = 0
    try:
        with bounded_work():
            for part in compiled(source, is_html(field)).generate(values):
                parts.append(part)
                size += len(part)
                if size > MAX_OUTPUT:
                    raise BadTemplateError(_l("The template makes a text that is too long."))
    except BadTemplateError as error:
        raise BadTemplateError(error.message, field) from error
    except Exception as error:
        # A template is the program of a stranger over plain values: whatever it raises is its own doing.
        raise BadTemplateError(
            _l("The template cannot be used: %(why)s", why=reason(error)), field
        ) from error
    return "".join(parts)
