"""The variables that templates carry with them in a file: those that they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext

from core.errors import UserError
from modules.mail_config.mail_templates.import_rows import BadValueError, company_in, text_in
from modules.mail_config.mail_templates.variables import (
    checked_code,
    names_used,
    problems_of,
    save_variable,
    sources_of,
    tidy_formula,
    variables_of,
)
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language import own_variables
from modules.mail_config.template_language.own_variables import GROUP, Variable
from modules.mail_config.template_language.sandbox import MAX_FORMULA

_MOST = 200  # of one template


def carried_by(template: MailTemplate) -> list[dict[str, Any]]:
    """Return the variables that a template uses, as its file holds them."""
    used = names_used(sources_of(template))
    if not used:
        return []
    return [
        {
            "code": row.code,
            "label": row.label,
            "formula": row.formula,
            "company": row.company.name if row.company is not None else None,
        }
        for row in variables_of(template.kind)
        if f"{GROUP}.{row.code}" in used
    ]


def variables_in(kind: str, row: Mapping[str, Any]) -> list[Variable]:
    """Return the variables that a template of a file brings; those of companies that there are not here are left out.

    Raises:
        BadValueError: One of them cannot be used.
    """
    written = row.get("variables", [])
    if not isinstance(written, list) or len(written) > _MOST:
        raise BadValueError(gettext("“%(name)s” has a value that is not known.", name="variables"))
    return [found for one in written if (found := _variable(kind, one)) is not None]


def _variable(kind: str, row: Any) -> Variable | None:
    if not isinstance(row, dict):
        raise BadValueError(gettext("“%(name)s” has a value that is not known.", name="variables"))
    company_id = None
    if row.get("company") is not None:
        company_id = company_in(row)[1]
        if company_id is None:
            return None
    formula = tidy_formula(text_in(row, "formula", MAX_FORMULA))
    try:
        code = checked_code(text_in(row, "code", 60))
    except UserError as error:
        raise BadValueError(str(error.message)) from error
    for problem in problems_of(kind, formula):
        raise BadValueError(f"{GROUP}.{code}: {problem}")
    return Variable(code, text_in(row, "label", 120).strip() or code, formula, company_id)


def new_ones(kind: str, found: Sequence[Variable]) -> tuple[list[Variable], list[str]]:
    """Return the variables that there are not here yet, and the names of those that say something else here."""
    here = {(one.code, one.company_id): one for one in own_variables.stored(kind)}
    new = {(one.code, one.company_id): one for one in found if (one.code, one.company_id) not in here}
    other = {
        one.name
        for one in found
        if (known := here.get((one.code, one.company_id))) is not None and known.formula != one.formula
    }
    return list(new.values()), sorted(other)


def make(kind: str, variables: Sequence[Variable]) -> None:
    """Make the variables that there are still not, inside the running transaction.

    Raises:
        UserError: One of them cannot be made.
    """
    new, _other = new_ones(kind, variables)
    for one in new:
        save_variable(
            None, kind=kind, code=one.code, label=one.label, formula=one.formula, company_id=one.company_id
        )
