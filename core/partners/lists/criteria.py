"""What a criterion is, and what several of them find together.

Modules bring criteria by their declaration (`core.contract.PartnerCriterion`). A list keeps the name of a criterion and
what was filled in, so that it can be asked again; one whose module is disabled, that the person may not use, or whose
form asks for something else since, is told, and makes a list shorter and never longer.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from core.auth.models import User
from core.contract import PartnerCriterion
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.registry import current_registry, resolve

T = TypeVar("T")

logger = logging.getLogger(__name__)

Values = Mapping[str, Any]
"""What was filled into the form of a criterion, as JSON holds it: days as `2026-11-30`."""
_NONSENSE = (LookupError, TypeError, ValueError, AttributeError)
"""What reading values raises that another form has filled in, or no form at all."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion: what is asked, and which customers answer to it.

    Attributes:
        form: Returns its form, whose fields are asked for and kept.
        condition: Returns what keeps a query over `Partner` to those whom the values fit, within the reach of a user;
            raises an error of Python, and leaves none to the database, where its form fills in other values by now.
        words: Says in a few words what the values mean; raises as `condition` does.
        contacts: True where it finds contacts; the others find customers alone.
    """

    form: Callable[[], FlaskForm]
    condition: Callable[[Values, User], ColumnElement[bool]]
    words: Callable[[Values], str]
    contacts: bool = False


class How(StrEnum):
    """What a criterion does with what the ones before it have found."""

    ADD = "add"
    TAKE = "take"
    KEEP = "keep"


HOW_TITLES = {How.ADD: _l("Add"), How.TAKE: _l("Take away"), How.KEEP: _l("Keep only these")}


@dataclass(frozen=True, slots=True)
class Step:
    """A criterion in a list.

    Attributes:
        key: Names it in its list.
        how: What it does.
        name: That of the criterion.
        values: What was filled in.
    """

    key: str
    how: How
    name: str
    values: Values

    @classmethod
    def stored(cls, row: Mapping[str, Any]) -> Step:
        """Return a step as a row holds it."""
        return cls(str(row["key"]), How(row["how"]), str(row["name"]), dict(row["values"]))

    def as_row(self) -> dict[str, Any]:
        """Return what is stored."""
        return {"key": self.key, "how": self.how.value, "name": self.name, "values": dict(self.values)}

    def lost(self, user: User) -> bool:
        """Return True where it cannot be asked: its module is disabled, the user may not, or its form is another."""
        return self.condition(user) is None

    def condition(self, user: User) -> ColumnElement[bool] | None:
        """Return the condition for whom it finds, or None where it cannot be asked."""

        def those(declared: PartnerCriterion) -> ColumnElement[bool]:
            criterion = criterion_of(declared)
            found = criterion.condition(self.values, user)
            return found if criterion.contacts else and_(Partner.parent_id.is_(None), found)

        return self._read(user, those)

    def words(self, user: User) -> str:
        """Return what is asked, for people."""

        def said(declared: PartnerCriterion) -> str:
            title, words = str(gettext(declared.title)), criterion_of(declared).words(self.values)
            return str(gettext("%(criterion)s: %(said)s", criterion=title, said=words)) if words else title

        told = self._read(user, said) if not self.lost(user) else None
        return told if told is not None else str(gettext("A criterion that is not available any more"))

    def _read(self, user: User, read: Callable[[PartnerCriterion], T]) -> T | None:
        declared = usable(user).get(self.name)
        if declared is None:
            return None
        try:
            return read(declared)
        except _NONSENSE:
            # Nobody but who has stored it can mend it: the page says so, and goes on.
            logger.warning("The values of the criterion %s are not understood", self.name, exc_info=True)
            return None


def usable(user: User) -> dict[str, PartnerCriterion]:
    """Return the criteria that a user may ask by, in their order."""
    return {
        name: declared
        for name, declared in current_registry().criteria.items()
        if declared.permission is None or user.can(declared.permission)
    }


def criterion_of(declared: PartnerCriterion) -> Criterion:
    """Return a criterion that is declared."""
    found: Criterion = resolve(declared.criterion)
    return found


def values_of(form: FlaskForm) -> dict[str, Any]:
    """Return what was filled into the form of a criterion, as it is kept."""
    return {
        name: value.isoformat() if isinstance(value, dt.date) else value
        for name, value in form.data.items()
        if name != "csrf_token"
    }


def day_of(values: Values, name: str) -> dt.date | None:
    """Return a day that was filled in, or None.

    Raises:
        KeyError, TypeError, ValueError: The form has no such field any more, or it was no day.
    """
    text = values[name]
    return dt.date.fromisoformat(text) if text is not None and text != "" else None


def id_of(values: Values, name: str) -> int | None:
    """Return the id of a row that was chosen, or None.

    Raises:
        KeyError, ValueError: The form has no such field any more, or it was no id.
    """
    number = values[name]
    if number is None:
        return None
    if type(number) is not int or not 0 <= number < 2**31:
        raise ValueError(f"no id: {number!r}")
    return number


def chosen_of(values: Values) -> list[str]:
    """Return what was chosen of several.

    Raises:
        KeyError, TypeError: The form does not let choose any more, or these were no choices.
    """
    chosen = values["chosen"]
    if not isinstance(chosen, list):
        raise TypeError(f"no choices: {chosen!r}")
    return [str(value) for value in chosen]


def asked(steps: Iterable[Step], user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Partner` to those whom criteria find, one after the other.

    What cannot be asked adds nobody; where it should have taken somebody away, nobody is left: whom it would have
    spared is not known any more.
    """
    found: ColumnElement[bool] = false()
    for step in steps:
        those = step.condition(user)
        if those is None:
            found = found if step.how is How.ADD else false()
            continue
        match step.how:
            case How.ADD:
                found = or_(found, those)
            case How.TAKE:
                # Of a property that somebody does not have, SQL says neither yes nor no.
                found = and_(found, not_(func.coalesce(those, false())))
            case How.KEEP:
                found = and_(found, those)
    return found
