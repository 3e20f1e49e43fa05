"""Who has changed which address of a customer or contact, or which emails it wants, from what to what, and when.

Written by itself with the change, whoever makes it: a form, a correction beside a mail, a module of others. A new row
is noted where a person has made it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, cast, delete, event, func, inspect, or_, select
from sqlalchemy.orm import (
    InstanceState,
    Mapped,
    Session,
    UOWTransaction,
    mapped_column,
    relationship,
)

from core import clock
from core.auth.models import User
from core.auth.permissions import acting_user
from core.db import Base, StrEnumType, UtcDateTime, db, transaction
from core.imports.models import ImportRow
from core.partners.models import MailConsent, Partner

SHOWN = 20  # changes on the page of a customer, the last ones


class ChangeKind(StrEnum):
    """What of a person has changed."""

    EMAIL = "email"
    POSTAL = "postal"  # street, postal code, city and country, in one line
    CONSENT = "consent"  # which emails they want: a value of `MailConsent`
    MERGE = "merge"  # another was merged into this one; `before` says which


_COLUMNS = {
    ChangeKind.EMAIL: ("email",),
    ChangeKind.POSTAL: ("street", "zip_code", "city", "country"),
    ChangeKind.CONSENT: ("consent",),
}


class PartnerChange(Base):
    """One change of one address, or of the consent."""

    __tablename__ = "core_partner_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    partner_id: Mapped[int] = mapped_column(ForeignKey("core_partner.id", ondelete="CASCADE"), index=True)
    """Whose."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was changed."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who has changed it; None for the installation."""
    kind: Mapped[ChangeKind] = mapped_column(StrEnumType(ChangeKind))
    """What has changed."""
    before: Mapped[str] = mapped_column(String(400), default="", index=True)
    """What it was, or "" for none. Indexed: whoever has it erased is looked for here."""
    after: Mapped[str] = mapped_column(String(400), default="", index=True)
    """What it became, or ""."""
    source: Mapped[str] = mapped_column(String(160), default="", server_default="")
    """How a consent is known; "" for an address."""

    partner: Mapped[Partner] = relationship(lazy="joined")
    by_user: Mapped[User | None] = relationship(lazy="joined")


def _said(state: InstanceState[Any], kind: ChangeKind, *, former: bool) -> str:
    parts = []
    for name in _COLUMNS[kind]:
        history = state.attrs[name].history
        values = (history.deleted if former else history.added) or history.unchanged or ()
        parts.append(" ".join(str(next(iter(values), None) or "").split()))
    if kind is not ChangeKind.POSTAL or not any(parts[:-1]):
        return parts[0]  # a country alone is no address
    street, zip_code, city, country = parts
    return ", ".join(part for part in (street, f"{zip_code} {city}".strip(), country) if part)


_ACTING = "envoi_acting_user_id"


@contextmanager
def on_behalf_of(user_id: int) -> Iterator[None]:
    """Let what a job changes be written down as changed by who has asked for it."""
    info = db.session().info
    info[_ACTING] = user_id
    try:
        yield
    finally:
        info.pop(_ACTING, None)


@event.listens_for(db.session, "before_flush")
def _note_changes(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    """Note each address that is about to change."""
    user = acting_user()
    by = user.id if user is not None else session.info.get(_ACTING)
    rows = [(row, False) for row in session.dirty] + [(row, True) for row in session.new]
    for row, is_new in rows:
        if not isinstance(row, Partner):
            continue
        state = inspect(row)
        for kind in _COLUMNS:
            if is_new and not by and kind is not ChangeKind.CONSENT:
                continue
            if not any(state.attrs[name].history.has_changes() for name in _COLUMNS[kind]):
                continue
            before = "" if is_new else _said(state, kind, former=True)
            after = _said(state, kind, former=False)
            if kind is ChangeKind.CONSENT and is_new and row.consent in {None, MailConsent.NECESSARY}:
                continue  # nobody has said anything yet
            if before != after:
                source = row.consent_source or "" if kind is ChangeKind.CONSENT else ""
                session.add(
                    PartnerChange(
                        partner=row, by_user_id=by, kind=kind, before=before, after=after, source=source
                    )
                )


def last_changes(customer: Partner) -> list[PartnerChange]:
    """Return the last changes of a customer and its contacts, the newest first."""
    theirs = select(Partner.id).where(or_(Partner.id == customer.id, Partner.parent_id == customer.id))
    return list(
        db.session.scalars(
            select(PartnerChange)
            .where(PartnerChange.partner_id.in_(theirs))
            .order_by(PartnerChange.id.desc())
            .limit(SHOWN)
        )
    )


def changes_naming(email: str) -> list[PartnerChange]:
    """Return the changes that name an email address, in whatever case, the oldest first."""
    return list(db.session.scalars(select(PartnerChange).where(_names(email)).order_by(PartnerChange.id)))


def forget_address(email: str) -> None:
    """Delete the changes and the rows of imports that name an email address, inside the running transaction."""
    written = json.dumps(email)[1:-1]  # as it stands in JSON
    texts = (ImportRow.cells, ImportRow.before, ImportRow.after)
    with transaction() as session:
        session.flush()
        session.execute(delete(PartnerChange).where(_names(email)))
        session.execute(
            delete(ImportRow).where(
                or_(*(cast(column, String).icontains(written, autoescape=True) for column in texts))
            )
        )


def _names(email: str) -> Any:
    columns = (PartnerChange.before, PartnerChange.after)
    return or_(
        *(same for column in columns for same in (column == email, func.lower(column) == email.lower()))
    )
