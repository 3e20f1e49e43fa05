"""What was selected becomes the items of a run, some thousand at a time.

A run is written with the ids of all that was selected, in one short transaction, and so is never a part of it; the
first of them are added at once, and a worker adds the others. Whoever resets their selection meanwhile changes nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import undefer

from core import clock
from core.db import db, transaction
from core.documents.models import Document
from core.partners.models import Partner
from modules.outbox.models import RUN_ITEMS, ItemState, Run

ADDED_AT_ONCE = 2000
"""Items that one transaction adds to a run."""
_BYTES = 8


def packed(ids: Sequence[int]) -> bytes | None:
    """Return ids as `Run.to_add` keeps them; None for none."""
    return zlib.compress(b"".join(number.to_bytes(_BYTES, "big") for number in ids), 1) if ids else None


def unpacked(kept: bytes | None) -> list[int]:
    """Return the ids that `packed` was given."""
    plain = zlib.decompress(kept) if kept is not None else b""
    return [int.from_bytes(plain[start : start + _BYTES], "big") for start in range(0, len(plain), _BYTES)]


def add_some(run_id: int) -> bool:
    """Add the next items to a run; return True when all of them are there.

    What is gone since it was selected is not counted any more.
    """
    if not db.session.scalar(select(Run.to_add.is_not(None)).where(Run.id == run_id)):
        return True  # as nearly always: no lock for that
    with transaction() as session:
        run = session.get(
            Run, run_id, with_for_update=True, populate_existing=True, options=[undefer(Run.to_add)]
        )
        if run is None or run.to_add is None:
            return True
        ids = unpacked(run.to_add)
        some, rest = ids[:ADDED_AT_ONCE], ids[ADDED_AT_ONCE:]
        if run.of_customers:
            there = dict.fromkeys(
                session.scalars(select(Partner.id).where(Partner.id.in_(some))), run.company_id
            )
        else:
            rows = session.execute(select(Document.id, Document.company_id).where(Document.id.in_(some)))
            there = dict(rows.all())
        values = [
            {
                "run_id": run_id,
                "partner_id" if run.of_customers else "document_id": number,
                "company_id": there[number],
                "revision": 0,
                "state": ItemState.UNCHECKED,
                "reason": None,
                "detail": "",
                "anyway": False,
            }
            for number in some
            if number in there
        ]
        if values:
            session.execute(insert(RUN_ITEMS), values)
        run.to_add = packed(rest)
        run.item_count -= len(some) - len(values)
        run.touched_at = clock.now()
    return not rest
