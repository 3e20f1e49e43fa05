"""Texts of the page of a template that are one formula of an older system: read, or told where they cannot be."""

from __future__ import annotations

from collections.abc import Callable

from flask_babel import gettext

from modules.mail_config.editor.shown_problems import ShownProblem
from modules.mail_config.from_mail.legacy_formula import FormulaUnreadableError, is_formula, read_formula
from modules.mail_config.template_language import own_variables
from modules.mail_config.template_language.render import is_html


def read_older(kind: str, name: str, text: str, tell: Callable[[str, ShownProblem], None]) -> str:
    """Return a text as ours where it begins with `formule=` or `formule:`; as it is where it cannot be read.

    Args:
        kind: The kind of the template.
        name: The field: `subject_en`, `body_fr`, `attachment_name`.
        text: What stands in it.
        tell: Is told the field, and what cannot be read in it.
    """
    if not is_formula(text):
        return text
    try:
        return read_formula(kind, text, is_html=is_html(name), own=own_variables.stored(kind))
    except FormulaUnreadableError as error:
        words = gettext(
            "This text begins with “formule”, as an older system writes it, and cannot be read at character "
            "%(position)s: %(why)s",
            position=error.position + 1,
            why=error.message,
        )
        tell(name, ShownProblem(words, marked=error.excerpt))
        return text
