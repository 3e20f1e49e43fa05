"""Demonstration data: one mail on its way and one batch to be started, so that nothing is empty on the first look."""

from __future__ import annotations

import datetime as dt

from flask import Flask
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of
from core.registry import current_registry
from core.selection import Selection
from modules.outbox.compose.draft import draft_for
from modules.outbox.runs.service import prepare
from modules.outbox.service import submit

# The mailbox of the playground starts beside the worker: the first mail must not find it asleep.
UNTIL_ALL_IS_UP = dt.timedelta(seconds=15)


def load(app: Flask) -> None:  # noqa: ARG001 (signature of the contract)
    """Send the first document of the demonstration, and prepare to send the others of its list together."""
    sent = _send_first()
    owner = db.session.get(User, sent.owner_id) if sent is not None and sent.owner_id else None
    if sent is None or owner is None:
        return
    for declared in current_registry().lists.values():
        if declared.of != "document" or not owner.can(declared.permission):
            continue
        ids = Selection(declared, None).row_ids(owner)
        if sent.id in ids:
            prepare(Selection(declared, tuple(ids[:8])), owner)
            return


def _send_first() -> Document | None:
    """Send the first document that can be sent and has a recipient, and return it."""
    kinds = list(current_registry().kinds)
    for document in db.session.scalars(
        select(Document).where(Document.kind.in_(kinds)).order_by(Document.id)
    ):
        if behavior_of(document).why_not_sendable(document) is not None:
            continue
        owner = db.session.get(User, document.owner_id) if document.owner_id else None
        draft = draft_for(document, None, owner)
        if draft.recipients:
            submit(draft, owner, not_before=clock.now() + UNTIL_ALL_IS_UP)
            return document
    return None
