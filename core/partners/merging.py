"""Two rows of one customer become one: everything that names the one goes to the other, and its address leads there."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint, select, text
from sqlalchemy.orm import Session

from core.auth.models import User
from core.db import transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.history import ChangeKind, PartnerChange, on_behalf_of
from core.partners.lists.models import MEMBERS, PartnerList
from core.partners.models import MailConsent, Partner
from core.partners.reach import EDIT, partner_for
from core.partners.references import foreign_keys

UNITED = {"core_follower", "core_partner_labeled", "core_partner_list_member"}
"""Tables where a row of the one says the same as a row of the other: that of the former goes."""
STAY = {"core_partner_import_row", "core_partner_search"}
"""Tables whose rows go on naming the former one: what was imported was that one, and it is found by its own name."""
_FILLED = ("number", "email", "phone", "function", "street", "zip_code", "city", "vat", "family_id")


def why_not_merged(kept: Partner, merged: Partner) -> UserError | None:
    """Return why two rows cannot become one, or None."""
    if kept.id == merged.id:
        return UserError(_l("Choose another customer."), "other_id")
    if kept.merged_into_id is not None or merged.merged_into_id is not None:
        return UserError(_l("Somebody has merged one of the two meanwhile."), "other_id")
    if kept.parent_id != merged.parent_id:
        return UserError(
            _l("Only two customers, or two contacts of one customer, can be merged."), "other_id"
        )
    if (kept.company_id, kept.owner_id) != (merged.company_id, merged.owner_id):
        # Else somebody would see, or lose from sight, what was not theirs to see.
        sentence = _l(
            "They are not visible to the same people. Change on one's form to whom it is visible first."
        )
        return UserError(sentence, "other_id")
    return None


def merge(kept_id: int, merged_id: int, by: User) -> Partner:
    """Merge a customer, or a contact, into another.

    Documents, emails, followers, contacts, tags, templates, the history and whatever modules have go to the one that is
    kept. What it does not say, such as a telephone number, is taken over; the stricter consent holds. The other is
    archived and leads to it. What is posted is moved as well and keeps all that it prints.

    Args:
        kept_id: Which one is kept.
        merged_id: Which one goes.
        by: Who merges; must be allowed to edit both.

    Returns:
        The one that is kept.

    Raises:
        UserError: They cannot be merged; the sentence says why.
    """
    with transaction() as session, on_behalf_of(by.id):
        # In one order, whoever begins: two who merge the same two the other way round wait for each other in no circle.
        # Who chooses for a list holds the list, and then customers: so do we.
        ids = sorted({kept_id, merged_id})
        lists = select(MEMBERS.c.list_id).where(MEMBERS.c.partner_id.in_(ids))
        locked = select(PartnerList.id).where(PartnerList.id.in_(lists)).order_by(PartnerList.id)
        session.execute(locked.with_for_update())
        session.execute(select(Partner.id).where(Partner.id.in_(ids)).order_by(Partner.id).with_for_update())
        kept, merged = partner_for(by, kept_id, EDIT), partner_for(by, merged_id, EDIT)
        if kept is None or merged is None:
            raise UserError(_l("This customer does not exist any more."), "other_id")
        session.refresh(kept)
        session.refresh(merged)
        problem = why_not_merged(kept, merged)
        if problem is not None:
            raise problem
        _take_over(kept, merged)
        merged.is_main, merged.active, merged.merged_into_id = False, False, kept.id
        session.add(
            PartnerChange(
                partner=kept, by_user_id=by.id, kind=ChangeKind.MERGE, before=_named(merged), after=""
            )
        )
        session.flush()
        _one_main_contact(session, kept, merged)
        for column in foreign_keys():
            if _table(column).name not in STAY and column.name != "merged_into_id":
                _move(session, column, kept.id, merged.id)
        session.execute(
            text("UPDATE core_partner SET merged_into_id = :kept WHERE merged_into_id = :merged"),
            {"kept": kept.id, "merged": merged.id},
        )
        session.expire_all()
    return kept


def _named(partner: Partner) -> str:
    parts = (partner.number, partner.name, partner.email, partner.city)
    return ", ".join(part for part in parts if part)[:400]


def _take_over(kept: Partner, merged: Partner) -> None:
    for name in _FILLED:
        if not getattr(kept, name):
            setattr(kept, name, getattr(merged, name))
    # What somebody has said outweighs what nobody has; of two who have, the one who wants less.
    if _strictness(merged) > _strictness(kept):
        kept.consent, kept.consent_at = merged.consent, merged.consent_at
        kept.consent_source = merged.consent_source


def _strictness(partner: Partner) -> int:
    if partner.consent_at is None:
        return 0
    return 1 + [MailConsent.PROMOTIONAL, MailConsent.NECESSARY, MailConsent.NONE].index(partner.consent)


def _one_main_contact(session: Session, kept: Partner, merged: Partner) -> None:
    if any(contact.is_main for contact in kept.contacts):
        session.execute(
            text("UPDATE core_partner SET is_main = :no WHERE parent_id = :merged"),
            {"no": False, "merged": merged.id},
        )


def _move(session: Session, column: Column[int], kept_id: int, merged_id: int) -> None:
    """Let the rows of a table name the one that is kept.

    As text, which raises no document's revision: nothing that a document says has changed, and emails of it that wait
    or have failed can be sent as they are.
    """
    table, name = _table(column), column.name
    ids = {"kept": kept_id, "merged": merged_id}
    free = "".join(_nobody_there(table.name, name, keys) for keys in _unique_with(column))
    session.execute(
        text(f"UPDATE {table.name} SET {name} = :kept WHERE {name} = :merged{free}"),  # noqa: S608 (names of our models)
        ids,
    )
    if not free:
        return
    if table.name in UNITED:
        session.execute(text(f"DELETE FROM {table.name} WHERE {name} = :merged"), ids)  # noqa: S608
    elif session.execute(text(f"SELECT 1 FROM {table.name} WHERE {name} = :merged"), ids).first():  # noqa: S608
        raise UserError(
            _l("Both have rows of the same kind in %(table)s, of which there can be one.", table=table.name)
        )


def _nobody_there(table: str, name: str, keys: list[str]) -> str:
    same = "".join(f" AND other.{key} = {table}.{key}" for key in keys)
    return f" AND NOT EXISTS (SELECT 1 FROM {table} AS other WHERE other.{name} = :kept{same})"  # noqa: S608


def _unique_with(column: Column[int]) -> list[list[str]]:
    """Return, for each rule that a column is unique together with others, the others."""
    table = _table(column)
    rules: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [
        rule for rule in table.constraints if isinstance(rule, PrimaryKeyConstraint | UniqueConstraint)
    ]
    rules += [
        index
        for index in table.indexes
        if index.unique
        and index.dialect_options["sqlite"]["where"] is None  # those of some rows only are not known here
    ]
    return [
        [other.name for other in rule.columns if other.name != column.name]
        for rule in rules
        if column.name in {other.name for other in rule.columns}
    ]


def _table(column: Column[int]) -> Table:
    table: Table = column.table
    return table
