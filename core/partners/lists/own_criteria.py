"""The criteria that core brings: what a customer is sorted by, and what stands in its fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial

from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import ColumnElement, and_, or_, true
from sqlalchemy.orm import InstrumentedAttribute
from wtforms import DateField, Field, SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import Optional, ValidationError

from core.auth.models import User
from core.auth.permissions import signed_in_user
from core.i18n import N_, format_date
from core.i18n import lazy_gettext as _l
from core.matching import folded, like
from core.matching import words as words_of
from core.partners.facets import FACETS, row_id
from core.partners.lists.criteria import Criterion, Values, chosen_of, day_of
from core.partners.lists.models import ListKind
from core.partners.lists.service import list_for, members_of, readable_lists
from core.partners.models import Partner
from core.web.criteria import Facet, facet_label
from core.web.forms import at_most

_FACETS = {facet.name: facet for facet in FACETS}


class ChosenForm(FlaskForm):  # type: ignore[misc]
    """One or several values out of those that there are."""

    chosen = SelectMultipleField(_l("One of"), render_kw={"data-search": ""})

    def validate_chosen(self, field: Field) -> None:
        """Nothing chosen is no criterion."""
        if not field.data:
            raise ValidationError(gettext("Choose at least one."))


def _chosen_form(choices: Callable[[], Sequence[SelectChoice]]) -> FlaskForm:
    form = ChosenForm()
    form.chosen.choices = list(choices())
    return form


def _by_facet(name: str, *, contacts: bool = False) -> Criterion:
    """Return the criterion that is a property by which the list of customers can be narrowed."""
    facet: Facet = _FACETS[name]

    def condition(values: Values, _user: User) -> ColumnElement[bool]:
        kept = [facet.condition(value) for value in chosen_of(values)]
        those = or_(*(one for one in kept if one is not None), Partner.id.is_(None))
        return and_(Partner.parent_id.is_not(None), those) if contacts else those

    return Criterion(
        partial(
            _chosen_form, lambda: [SelectChoice(choice.value, choice.title) for choice in facet.choices()]
        ),
        condition,
        lambda values: ", ".join(facet_label(facet, value) for value in chosen_of(values)),
        contacts,
    )


family = _by_facet("family")
tag = _by_facet("tag")
country = _by_facet("country")
language = _by_facet("language")
consent = _by_facet("consent")
function = _by_facet("function", contacts=True)


# -- fields ------------------------------------------------------------------------------------------------

_FIELDS: dict[str, tuple[str, InstrumentedAttribute[str]]] = {
    "name": (N_("Name"), Partner.name),
    "number": (N_("Customer number"), Partner.number),
    "zip_code": (N_("Postal code"), Partner.zip_code),
    "city": (N_("City"), Partner.city),
    "street": (N_("Street"), Partner.street),
    "email": (N_("Email"), Partner.email),
    "phone": (N_("Phone"), Partner.phone),
    "vat": (N_("VAT number"), Partner.vat),
}
_WAYS = {
    "begins": N_("begins with"),
    "contains": N_("contains"),
    "filled": N_("is filled in"),
    "empty": N_("is empty"),
}
_WITHOUT_TEXT = ("filled", "empty")


class FieldsForm(FlaskForm):  # type: ignore[misc]
    """A field, and what stands in it."""

    field = SelectField(_l("Field"))
    way = SelectField(_l("Comparison"))
    text = StringField(_l("Text"), [at_most(100)], description=_l("In any case, with or without accents"))

    def validate_text(self, field: Field) -> None:
        """A comparison with a text needs one."""
        if self.way.data not in _WITHOUT_TEXT and not folded(field.data or ""):
            raise ValidationError(gettext("This field is required."))


def _fields_form() -> FlaskForm:
    form = FieldsForm()
    form.field.choices = [SelectChoice(name, gettext(title)) for name, (title, _column) in _FIELDS.items()]
    form.way.choices = [SelectChoice(name, gettext(title)) for name, title in _WAYS.items()]
    return form


def _field_condition(values: Values, _user: User) -> ColumnElement[bool]:
    column = _FIELDS[values["field"]][1]
    match values["way"]:
        case "begins":
            return like(column, folded(values["text"]), begins=True)
        case "contains":
            return and_(true(), *(like(column, word) for word in words_of(values["text"])))
        case "filled":
            return column != ""
        case "empty":
            return column == ""
    raise ValueError(values["way"])


def _field_words(values: Values) -> str:
    field, way = values["field"], values["way"]
    words = f"{gettext(_FIELDS[field][0])} {gettext(_WAYS[way])}"
    if way in _WITHOUT_TEXT:
        return words
    return str(gettext("%(comparison)s “%(text)s”", comparison=words, text=values["text"]))


fields = Criterion(_fields_form, _field_condition, _field_words)


# -- days --------------------------------------------------------------------------------------------------


class PeriodForm(FlaskForm):  # type: ignore[misc]
    """A period, open at one end where nothing is filled in."""

    first = DateField(_l("From"), [Optional()])
    last = DateField(_l("To"), [Optional()])

    def validate_last(self, field: Field) -> None:
        """The last day is not before the first."""
        if field.data and self.first.data and field.data < self.first.data:
            raise ValidationError(gettext("The last day is before the first one."))


def period_words(values: Values) -> str:
    """Return a period in words; "" for any time."""
    first, last = day_of(values, "first"), day_of(values, "last")
    if first and last:
        return str(
            gettext(
                "%(first)s to %(last)s",
                first=format_date(first, "medium"),
                last=format_date(last, "medium"),
            )
        )
    if first:
        return str(gettext("from %(first)s on", first=format_date(first, "medium")))
    return str(gettext("until %(last)s", last=format_date(last, "medium"))) if last else ""


def _known_since(values: Values, _user: User) -> ColumnElement[bool]:
    first, last = day_of(values, "first"), day_of(values, "last")
    within: list[ColumnElement[bool]] = [true()]
    if first:
        within.append(Partner.created_at >= dt.datetime.combine(first, dt.time(), dt.UTC))
    if last:
        within.append(Partner.created_at <= dt.datetime.combine(last, dt.time.max, dt.UTC))
    return and_(*within)


since = Criterion(PeriodForm, _known_since, period_words)


# -- lists -------------------------------------------------------------------------------------------------


def _saved_form() -> FlaskForm:
    user = signed_in_user()
    return _chosen_form(
        lambda: [
            SelectChoice(str(row.id), row.name) for row in readable_lists(user) if row.kind is ListKind.FIXED
        ]
    )


def _on_saved(values: Values, user: User) -> ColumnElement[bool]:
    # One that is gone, or not theirs to see any more, has no member.
    lists = [list_for(user, row_id(value) or 0) for value in chosen_of(values)]
    return or_(Partner.id.is_(None), *(members_of(row) for row in lists if row is not None))


def _saved_words(values: Values) -> str:
    user = signed_in_user()
    lists = [list_for(user, row_id(value) or 0) for value in chosen_of(values)]
    return ", ".join(row.name if row is not None else gettext("a list that is gone") for row in lists)


saved = Criterion(_saved_form, _on_saved, _saved_words, contacts=True)
everybody = Criterion(FlaskForm, lambda _values, _user: true(), lambda _values: "")
