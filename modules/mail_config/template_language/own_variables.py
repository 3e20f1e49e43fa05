"""Variables of one's own: what each comes to where a template uses it, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flask_babel import gettext
from sqlalchemy import select

from core.db import db
from core.documents.behavior import FieldValue
from core.i18n import lazy_gettext as _l
from modules.mail_config.template_language.linter import used_fields
from modules.mail_config.template_language.problems import unknown_field
from modules.mail_config.template_language.render import reason, values_for
from modules.mail_config.template_language.sandbox import BadTemplateError, value_of_formula
from modules.mail_config.template_language.values import (
    EMPTY,
    FormulaError,
    LazyGroup,
    bounded_work,
    shown,
)
from modules.mail_config.variable_models import TemplateVariable

GROUP = "own"
"""The group in which templates find them: `own.code`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, stored or not yet.

    Attributes:
        code: Its name within the group.
        label: For people.
        formula: Without braces.
        company_id: The company whose documents it is for, or None for all.
    """

    code: str
    label: str
    formula: str
    company_id: int | None = None

    @property
    def name(self) -> str:
        """As templates write it."""
        return f"{GROUP}.{self.code}"


def stored(kind: str) -> list[Variable]:
    """Return the variables of a kind, those for all companies first."""
    rows = db.session.scalars(
        select(TemplateVariable)
        .where(TemplateVariable.kind == kind)
        .order_by(TemplateVariable.company_id.is_not(None), TemplateVariable.label, TemplateVariable.id)
    )
    return [Variable(row.code, row.label, row.formula, row.company_id) for row in rows]


def that_count(variables: Iterable[Variable], company_id: int | None) -> dict[str, Variable]:
    """Return the variables that count in a company, by code: its own go before those for all.

    Where no company is given, as in a template for all of them, those of single companies count where there is none
    for all; `missing_in` says where that does not do.
    """
    found: dict[str, Variable] = {}
    for variable in variables:
        if company_id is None:
            found.setdefault(variable.code, variable)
        elif variable.company_id in {None, company_id}:
            found[variable.code] = variable
    return found


def missing_in(name: str, variables: Iterable[Variable], companies: Sequence[int]) -> bool:
    """Return True when there is a variable of a name, as templates write it, but not in all of some companies."""
    there = {variable.company_id for variable in variables if variable.name == name}
    return bool(there) and None not in there and not there.issuperset(companies)


def group_of(
    variables: Mapping[str, Variable], values: Mapping[str, FieldValue], *, currency: str
) -> LazyGroup:
    """Return the group of variables as a template sees it.

    Args:
        variables: By code.
        values: What the catalogue says.
        currency: What `money` takes for numbers that have none of their own.
    """
    return LazyGroup(lambda code: value_of(variables[code], values, currency=currency))


def value_of(variable: Variable, values: Mapping[str, FieldValue], *, currency: str) -> object:
    """Return what a variable comes to.

    Raises:
        FormulaError: It cannot be computed, or uses a field that there is not any more; says which variable.
    """
    gone = sorted(_fields_of(variable.formula) - set(values))
    if gone:
        raise FormulaError(
            _l(
                "The variable “%(name)s” uses the field “%(field)s”, which there is not any more.",
                name=variable.name,
                field=gone[0],
            )
        )
    try:
        with bounded_work():
            value = value_of_formula(variable.formula, values_for(values, currency))
            shown(value)
    except Exception as error:
        # Its formula is the program of somebody, as a template is.
        why = error.message if isinstance(error, BadTemplateError) else reason(error)
        raise FormulaError(
            _l("The variable “%(name)s” cannot be used: %(why)s", name=variable.name, why=why)
        ) from error
    return EMPTY if value == "" else value


def gone_field(variable: Variable, known: Iterable[str]) -> str:
    """Return a sentence about a field that a variable uses and its kind does not have any more; "" for none."""
    gone = sorted(_fields_of(variable.formula) - set(known))
    return unknown_field(gone[0], known) if gone else ""


def not_in_all_companies(name: str) -> str:
    """Return the sentence for a variable that a template for all companies uses, and that some do not have."""
    return str(
        gettext(
            "The variable “%(name)s” is for single companies only: choose one of them for this template, or add the "
            "variable for all.",
            name=name,
        )
    )


@lru_cache(maxsize=512)
def _fields_of(formula: str) -> frozenset[str]:
    return frozenset(used_fields(f"{{{{ {formula} }}}}"))
