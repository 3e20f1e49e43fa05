"""What becomes of a row of a file: which customer it is, what would change, or why it cannot be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, func, or_, select

from core.auth.models import User
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.imports.models import Import, ImportRow, ImportState, Verdict
from core.imports.subject import NEW_LABELS, Judgement, read_cells, refuse_twice
from core.mail.addresses import InvalidAddressError, normalize
from core.partners.imports.columns import COLUMNS
from core.partners.labels import LabelKind, PartnerLabel, save_label
from core.partners.match_key import address_key, vat_key
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.reach import EDIT, reachable
from core.partners.service import checked_values

LABELS = "core.company.edit"
"""Who may make families, tags and codes that are not there."""


class MatchBy(StrEnum):
    """What a row and a customer have in common when they are the same."""

    NUMBER = "number"
    VAT = "vat"
    EMAIL = "email"


def judge(row: ImportRow, of: Import, user: User) -> Judgement:
    """Return what becomes of a row; labels that are not there are made where the import says so."""
    found = Judgement()
    try:
        _judge(found, row, of, user)
    except UserError as error:
        field_name = error.field or ("email" if isinstance(error, InvalidAddressError) else "")
        found.verdict, found.field, found.problem = Verdict.REFUSED, field_name, error.message
    return found


def _judge(found: Judgement, row: ImportRow, of: Import, user: User) -> None:
    values = read_cells(COLUMNS, row.cells, of.mapping)
    found.name, found.number = str(values.get("name", "")).casefold()[:160], values.get("number", "")
    parent = _parent(values, row, of, user)
    found.key = _key(values, of, parent)
    if of.state is ImportState.CHECKING:
        refuse_twice(found.key, row, of)
    found.entity = partner = _match(values, of, user, parent)
    _put_type(values, partner, parent)
    missing = _put_labels(values, of, user, partner)
    values.pop("parent", None)
    _put_source(values, partner, of)
    if partner is None:
        values = _of_a_new_one(values, of, parent)
    checked = checked_values(partner, values)
    if partner is not None and partner.consent is checked.get("consent") and _same_day(partner, values):
        checked.pop("consent_at", None)
    for name, value in checked.items():
        there = _stored(partner, name)
        if partner is None or there != _plain(value):
            found.after[name] = _plain(value)
            if partner is not None:
                found.before[name] = there
    found.values = {name: checked[name] for name in found.after}
    if missing:
        found.after[NEW_LABELS] = missing
    if partner is not None:
        found.verdict = Verdict.CHANGES if found.after else Verdict.SAME


def _same_day(partner: Partner, values: dict[str, Any]) -> bool:
    """Return whether a file says no other day of a consent: it knows no time of the day."""
    day = values.get("consent_at")
    return day is None or (partner.consent_at is not None and partner.consent_at.date() == day.date())


def _put_type(values: dict[str, Any], partner: Partner | None, parent: Partner | None) -> None:
    kind = values.get("type")
    if kind is PartnerType.CUSTOMER and parent is not None:
        raise UserError(_l("A customer is no contact of another."), "type")
    if kind not in {None, PartnerType.CUSTOMER} and parent is None:
        raise UserError(_l("A contact needs the customer that it belongs to."), "type")
    if kind is None and parent is not None and partner is None:
        values["type"] = PartnerType.CONTACT


def _put_source(values: dict[str, Any], partner: Partner | None, of: Import) -> None:
    """Say of an opt-in how it is known; a file never takes back that somebody has opted out."""
    if values.get("consent") is not MailConsent.PROMOTIONAL:
        return
    if partner is not None and partner.consent is MailConsent.NONE:
        sentence = _l("Has opted out of emails. Whoever wants them again says so on the customer's page.")
        raise UserError(sentence, "consent")
    if partner is not None and partner.consent is MailConsent.NECESSARY and partner.consent_at is not None:
        given = values.get("consent_at")
        if given is None or given <= partner.consent_at:
            sentence = _l(
                "Has opted out of promotional emails. Give the later day of the new consent, or say so on the "
                "customer's page."
            )
            raise UserError(sentence, "consent")
    values.setdefault(
        "consent_source", (partner.consent_source if partner is not None else "") or of.file_name
    )


def _of_a_new_one(values: dict[str, Any], of: Import, parent: Partner | None) -> dict[str, Any]:
    if not values.get("name"):
        raise UserError(_l("A new customer or contact needs a name."), "name")
    if parent is not None:
        return {"language": parent.language, "country": parent.country, **values, "parent_id": parent.id}
    return {**values, "company_id": of.company_id, "owner_id": of.owner_id}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return sorted(value) if isinstance(value, list) else value


def _stored(partner: Partner | None, name: str) -> Any:
    if partner is None:
        return None
    return (
        sorted(label.id for label in partner.labels)
        if name == "label_ids"
        else _plain(getattr(partner, name))
    )


def stored(partner: Partner, names: Sequence[str]) -> dict[str, Any]:
    """Return what columns of a customer say, as JSON has it."""
    return {name: _stored(partner, name) for name in names}


# -------------------------------------------------------------------------------------------------------- matching


def _key(values: dict[str, Any], of: Import, parent: Partner | None) -> str:
    """Return what a row is matched by, or "" where its column is empty: then by name and postal code."""
    within = f"{parent.id or parent.name.casefold()}/" if parent is not None else ""
    value = str(values.get(of.match_by, ""))
    if of.match_by == MatchBy.EMAIL and value:
        return f"{within}{normalize(value).casefold()}"
    if of.match_by == MatchBy.VAT and value:
        return f"{within}{vat_key(value)}"
    if value:
        return f"{within}{value}"
    return f"{within}{str(values.get('name', '')).casefold()}\n{values.get('zip_code', '')}"


def _match(values: dict[str, Any], of: Import, user: User, parent: Partner | None) -> Partner | None:
    """Return the customer or contact that a row is, of those whom the user may edit.

    Raises:
        UserError: It could be several.
    """
    same = _same(values, of)
    if same is None:
        return None
    query = select(Partner).where(
        same,
        reachable(user, EDIT),
        Partner.parent_id == parent.id if parent is not None else Partner.parent_id.is_(None),
        Partner.merged_into_id.is_(None),
    )
    several = list(db.session.scalars(query.order_by(Partner.id).limit(2)))
    if len(several) > 1:
        raise UserError(
            _l("Several customers fit. Match by something else, or merge them first."), of.match_by
        )
    return several[0] if several else None


def _same(values: dict[str, Any], of: Import) -> ColumnElement[bool] | None:
    value = str(values.get(of.match_by, ""))
    name = str(values.get("name", ""))
    if value and of.match_by == MatchBy.NUMBER:
        return Partner.number == value
    if value and of.match_by == MatchBy.VAT:
        return Partner.vat_key == vat_key(value)
    if value:
        return Partner.email_key == address_key(normalize(value))
    return _alike(Partner.name, name) & (Partner.zip_code == values.get("zip_code", "")) if name else None


def _alike(column: SQLColumnExpression[str], text: str) -> ColumnElement[bool]:
    # SQLite's lower() knows ASCII only: what is written just so is the same in any case.
    return or_(column == text, func.lower(column) == text.lower())


def _parent(values: dict[str, Any], row: ImportRow, of: Import, user: User) -> Partner | None:
    """Return the customer that a contact belongs to, by its number or its name; None for a customer.

    Raises:
        UserError: There is none, or there are several.
    """
    named = values.get("parent")
    if not named:
        return None
    query = select(Partner).where(
        or_(Partner.number == named, _alike(Partner.name, named)),
        Partner.parent_id.is_(None),
        Partner.merged_into_id.is_(None),
        reachable(user, EDIT),
    )
    several = list(db.session.scalars(query.order_by((Partner.number == named).desc(), Partner.id).limit(2)))
    by_number = [partner for partner in several if partner.number == named]
    if len(by_number) == 1:
        return by_number[0]
    if len(several) > 1:
        raise UserError(_l("Several customers are called so: give the number."), "parent")
    if several:
        return several[0]
    if of.state is ImportState.CHECKING and _further_up(named, row, of):
        # This import will make it before it comes to this row. Until then the contact is looked at as one of nobody.
        return Partner(
            id=0, name=named, language="fr", country="FR", company_id=of.company_id, owner_id=of.owner_id
        )
    raise UserError(_l("There is no customer of this name or number."), "parent")


def _further_up(named: str, row: ImportRow, of: Import) -> bool:
    found = db.session.scalar(
        select(ImportRow.id)
        .where(
            ImportRow.import_id == of.id,
            ImportRow.id < row.id,
            ImportRow.verdict == Verdict.NEW,
            or_(ImportRow.number == named, ImportRow.name == named.casefold()[:160]),
        )
        .limit(1)
    )
    return found is not None


# ---------------------------------------------------------------------------------------------------------- labels


def _put_labels(values: dict[str, Any], of: Import, user: User, partner: Partner | None) -> list[str]:
    """Put ids in the place of names of families, tags and codes; a list that the file has replaces the former one.

    Returns:
        The names that are in no list, where the import will put them there.
    """
    missing: list[str] = []
    if "family" in values:
        for label in _labels(LabelKind.FAMILY, [values.pop("family")], "family", of, user, missing):
            values["family_id"] = label.id
    given: dict[LabelKind, list[PartnerLabel]] = {
        kind: _labels(kind, values.pop(column), column, of, user, missing)
        for kind, column in ((LabelKind.TAG, "tags"), (LabelKind.FUNCTION, "functions"))
        if column in values
    }
    if given:
        kept = [label for label in partner.labels if label.kind not in given] if partner is not None else []
        values["label_ids"] = [
            label.id for label in (*kept, *(one for some in given.values() for one in some))
        ]
    return missing


def _labels(
    kind: LabelKind, names: list[str], column: str, of: Import, user: User, missing: list[str]
) -> list[PartnerLabel]:
    found: list[PartnerLabel] = []
    for name in names:
        label = db.session.scalar(
            select(PartnerLabel).where(
                PartnerLabel.kind == kind,
                or_(func.lower(PartnerLabel.name) == name.lower(), PartnerLabel.code == name.upper()),
            )
        )
        if label is not None:
            found.append(label)
        elif not of.make_labels or not user.can(LABELS):
            raise UserError(_l("“%(name)s” is not in the list.", name=name), column)
        elif of.state is ImportState.CHECKING:
            missing.append(name)
        else:
            code = name[:16] if kind is LabelKind.FUNCTION else ""
            found.append(save_label(None, kind, {"name": name[:80], "code": code}))
    return found
