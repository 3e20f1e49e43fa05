"""The verbs of following."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.followers.models import Follower, FollowReason


def followers_of(document_id: int) -> list[Follower]:
    """Return those who follow a document now: the customer first, then in the order of joining."""
    rows = db.session.scalars(
        select(Follower)
        .where(Follower.document_id == document_id, Follower.removed_at.is_(None))
        .order_by(Follower.id)
    )
    return sorted(rows, key=lambda follower: follower.reason is not FollowReason.CUSTOMER)


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

    Somebody who was removed comes back only when a person adds them (reason `ADDED`).

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
        follower.reason, follower.by_mail, follower.removed_at = reason, by_mail, None
        follower.added_by_id = by.id if by else None
        follower.added_at = clock.now()
        session.flush()
    return follower


def unfollow(follower: Follower) -> None:
    """Remove a follower; the row stays, so that nothing brings it back by itself."""
    with transaction():
        follower.removed_at = clock.now()


def customer_changed(
    document_id: int, previous_id: int | None, partner_id: int | None, by: User | None
) -> None:
    """Let the new customer follow instead of the former one, inside the running transaction."""
    with transaction() as session:
        if previous_id is not None:
            former = session.scalar(
                select(Follower).where(
                    Follower.document_id == document_id, Follower.partner_id == previous_id
                )
            )
            if former is not None and former.reason is FollowReason.CUSTOMER:
                # Deleted, not removed: nobody removed them, so they may come back with the next change.
                session.delete(former)
                session.flush()
        if partner_id is not None:
            follow(document_id, partner_id=partner_id, reason=FollowReason.CUSTOMER, by=by)
