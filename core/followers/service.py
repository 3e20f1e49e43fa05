"""The verbs of following."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import ColumnElement, SQLColumnExpression, inspect, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.followers.models import Follower, FollowReason
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner


class FormerFollows(StrEnum):
    """The choice what happens to followers of the former customer when a document gets another one."""

    STOPS = "stops"  # they are removed
    BY_MAIL = "by_mail"  # they go on getting mails
    IN_APPLICATION = "in_application"  # they stay in the list, without mails


@dataclass(frozen=True, slots=True)
class FormerFollowers:
    """Those who follow for the customer of a document now, and would be asked about if it changed.

    Attributes:
        customer: The customer, or None when it does not follow.
        contacts: Its contacts who follow.
    """

    customer: Follower | None = None
    contacts: list[Follower] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.customer is not None or bool(self.contacts)


def followers_of(document_id: int) -> list[Follower]:
    """Return those who follow a document now: the customer first, then in the order of joining."""
    return followers_of_each([document_id])[document_id]


def followers_of_each(document_ids: Iterable[int]) -> dict[int, list[Follower]]:
    """Return those who follow documents now, by the id of the document, in the order of `followers_of`."""
    found: dict[int, list[Follower]] = {number: [] for number in document_ids}
    rows = db.session.scalars(
        select(Follower)
        .where(Follower.document_id.in_(found), Follower.removed_at.is_(None))
        .order_by(Follower.id)
        .options(selectinload(Follower.added_by), joinedload(Follower.partner).joinedload(Partner.parent))
    )
    # Sorting keeps the order of equals, so the others stay as they joined.
    for follower in sorted(rows, key=lambda one: one.reason is not FollowReason.CUSTOMER):
        found[follower.document_id].append(follower)
    return found


def followed_by(user: User, document_id: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Return the condition that a user follows a document, by mail or in the application only."""
    return (
        select(Follower.id)
        .where(
            Follower.document_id == document_id, Follower.user_id == user.id, Follower.removed_at.is_(None)
        )
        .exists()
    )


def removed_from(document_id: int) -> list[Follower]:
    """Return those whom somebody has removed, the last one first."""
    return removed_from_each([document_id])[document_id]


def removed_from_each(document_ids: Iterable[int]) -> dict[int, list[Follower]]:
    """Return those whom somebody has removed from documents, by the id of the document, the last one first."""
    found: dict[int, list[Follower]] = {number: [] for number in document_ids}
    rows = db.session.scalars(
        select(Follower)
        .where(Follower.document_id.in_(found), Follower.removed_at.is_not(None))
        .order_by(Follower.removed_at.desc(), Follower.id.desc())
    )
    for follower in rows:
        found[follower.document_id].append(follower)
    return found


def get_follower(document_id: int, follower_id: int) -> Follower:
    """Return a follower of a document, also one who was removed.

    Raises:
        UserError: There is none any more: the customer has changed, or the person was deleted.
    """
    follower = db.session.get(Follower, follower_id)
    # The id alone would let whoever may see one document change the followers of another.
    if follower is None or follower.document_id != document_id:
        raise UserError(_l("This follower is not there any more."))
    return follower


def follow(
    document_id: int,
    *,
    partner_id: int | None = None,
    user_id: int | None = None,
    reason: FollowReason = FollowReason.ADDED,
    by: User | None = None,
    by_mail: bool = True,
) -> Follower:
    """Make a partner or a colleague follow a document.

    Somebody who was removed comes back only when a person adds them (reason `ADDED`), and is then the customer or
    the owner again if they were it before. Who follows already goes on as before.

    Args:
        document_id: The document.
        partner_id: The partner, or None.
        user_id: The colleague, or None; exactly one of the two is given.
        reason: Why.
        by: Who added them.
        by_mail: False to follow in the application only.
    """
    with transaction() as session:
        wanted = select(Follower).where(
            Follower.document_id == document_id,
            Follower.partner_id == partner_id,
            Follower.user_id == user_id,
        )
        follower = session.scalar(wanted)
        if follower is None:
            try:
                with session.begin_nested():
                    follower = Follower(
                        document_id=document_id, partner_id=partner_id, user_id=user_id, reason=reason
                    )
                    session.add(follower)
            except IntegrityError:
                # Two people add the same one at once: the other was faster.
                return session.scalars(wanted).one()
        elif reason is not FollowReason.ADDED or follower.removed_at is None:
            return follower
        elif follower.reason is not FollowReason.ADDED:
            reason = follower.reason
        # The same row comes back: the unique pair allows one, and who removed it before is history.
        follower.reason, follower.by_mail, follower.removed_at = reason, by_mail, None
        follower.added_by_id = by.id if by else None
        follower.added_at = clock.now()
        session.flush()
    return follower


def unfollow(follower: Follower) -> None:
    """Remove a follower; the row stays, so that nothing brings it back by itself; raises `UserError` if it is gone."""
    with transaction():
        _keep(follower)
        follower.removed_at = follower.removed_at or clock.now()


def restore(follower: Follower) -> None:
    """Take a removal back, with everything as it was before; raises `UserError` if it is gone."""
    with transaction():
        _keep(follower)
        follower.removed_at = None


def set_by_mail(follower: Follower, by_mail: bool) -> None:
    """Let somebody follow by mail, or in the application only; raises `UserError` if they do not any more."""
    with transaction():
        _keep(follower)
        follower.by_mail = by_mail


def _keep(follower: Follower) -> None:
    """Keep a follower from being taken away until the running transaction ends.

    Raises:
        UserError: It is gone: the document has another customer since.
    """
    # Not `follower.id`: its attributes cannot be asked once the row is gone.
    (number,) = inspect(follower).identity or (0,)
    lock = {"of": Follower}
    with transaction() as session:
        if session.get(Follower, number, with_for_update=lock, populate_existing=True) is None:
            raise UserError(_l("This follower is not there any more."))


def followers_of_customer(document_id: int, customer_id: int | None) -> FormerFollowers:
    """Return the customer and its contacts as far as they follow a document."""
    if customer_id is None:
        return FormerFollowers()
    rows = db.session.scalars(
        select(Follower)
        .join(Follower.partner)
        .where(
            Follower.document_id == document_id,
            Follower.removed_at.is_(None),
            or_(Partner.id == customer_id, Partner.parent_id == customer_id),
        )
        .order_by(Follower.id)
    ).all()
    return FormerFollowers(
        next((row for row in rows if row.partner_id == customer_id), None),
        [row for row in rows if row.partner_id != customer_id],
    )


def customer_changed(
    document_id: int,
    previous_id: int | None,
    partner_id: int | None,
    by: User | None,
    *,
    customer: FormerFollows = FormerFollows.STOPS,
    contacts: FormerFollows = FormerFollows.STOPS,
) -> None:
    """Let the new customer follow by mail, inside the running transaction.

    Somebody who was removed from the document stays removed, also as its new customer.

    Args:
        document_id: The document.
        previous_id: The former customer, or None.
        partner_id: The new customer, or None.
        by: Who has changed it.
        customer: What becomes of the former customer.
        contacts: What becomes of its contacts who follow.
    """
    with transaction() as session:
        former = followers_of_customer(document_id, previous_id)
        if former.customer is not None:
            if customer is FormerFollows.STOPS and former.customer.reason is FollowReason.CUSTOMER:
                # Deleted, not removed: nobody removed them, so they may come back with the next change.
                session.delete(former.customer)
            else:
                _goes_on(former.customer, customer, by)
        for contact in former.contacts:
            if contact.partner_id != partner_id:
                _goes_on(contact, contacts, by)
        _forget_who_was_customer(document_id, previous_id)
        session.flush()
        if partner_id is not None:
            follower = follow(document_id, partner_id=partner_id, reason=FollowReason.CUSTOMER, by=by)
            follower.reason = FollowReason.CUSTOMER
            follower.by_mail = True


def _goes_on(follower: Follower, how: FormerFollows, by: User | None) -> None:
    if how is FormerFollows.STOPS:
        follower.removed_at = clock.now()
        return
    if follower.reason is FollowReason.CUSTOMER:
        follower.reason, follower.added_at = FollowReason.ADDED, clock.now()
        follower.added_by_id = by.id if by else None
    follower.by_mail = how is FormerFollows.BY_MAIL


def _forget_who_was_customer(document_id: int, previous_id: int | None) -> None:
    """Call one who was removed before the customer changed no customer any more."""
    removed = select(Follower).where(
        Follower.document_id == document_id,
        Follower.partner_id == previous_id,
        Follower.removed_at.is_not(None),
        Follower.reason == FollowReason.CUSTOMER,
    )
    for follower in db.session.scalars(removed):
        follower.reason = FollowReason.ADDED
