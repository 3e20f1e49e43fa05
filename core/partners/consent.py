"""Who may be sent what advertises, and how that is taken back: asked and answered here, whoever sends."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, or_, select
from sqlalchemy.orm import aliased

from core import clock
from core.db import db, transaction
from core.partners.match_key import address_key
from core.partners.models import MailConsent, Partner

_AT_ONCE = 500  # SQLite takes a bounded number of parameters


def promotional_among(partner_ids: Collection[int]) -> set[int]:
    """Return those of some customers and contacts who have opted in to what advertises, and are not archived.

    Of one that was merged into another, the word of that other counts.
    """
    now = aliased(Partner)
    wanted = sorted(partner_ids)
    found: set[int] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        found.update(
            db.session.scalars(
                select(Partner.id)
                .join(now, now.id == func.coalesce(Partner.merged_into_id, Partner.id))
                .where(
                    Partner.id.in_(wanted[start : start + _AT_ONCE]),
                    now.active,
                    now.consent == MailConsent.PROMOTIONAL,
                )
            )
        )
    return found


def withdraw_promotional(partner_id: int | None, address: str, source: str) -> list[Partner]:
    """Note that somebody wants nothing any more that advertises; what is necessary they still get.

    It holds for whoever is named, or whom that one was merged into, and for everybody who shares the address: whoever
    opens the mailbox has said so. The history of each has it, with its source.

    Args:
        partner_id: The customer or contact who got the email, or None where that one is gone.
        address: To which it was sent, or "" where it is no longer known.
        source: How it is known.

    Returns:
        Those whose word has changed; nobody where it was said before.
    """
    with transaction() as session:
        named = session.get(Partner, partner_id) if partner_id is not None else None
        meant = []
        if named is not None:
            meant.append(Partner.id == (named.merged_into_id or named.id))
        if address:
            meant.append(Partner.email_key == address_key(address))
        if not meant:
            return []
        # In one order, whoever begins; and as they are now: a second press waits here, and finds it said.
        rows = session.scalars(
            select(Partner)
            .where(or_(*meant), Partner.consent == MailConsent.PROMOTIONAL)
            .order_by(Partner.id)
            .with_for_update(of=Partner)
            .execution_options(populate_existing=True)
        )
        changed = [row for row in rows if row.consent is MailConsent.PROMOTIONAL]
        for row in changed:
            row.consent, row.consent_at, row.consent_source = MailConsent.NECESSARY, clock.now(), source
    return changed
