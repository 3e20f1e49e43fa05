"""Which mails get a copy in the Sent folder: asked for wherever it becomes known that a server has taken one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Insert, exists, insert, literal, select
from sqlalchemy.orm import Session

from core import clock
from core.jobs import enqueue_after_commit
from modules.mail_config.mailbox_models import SENT_FOLDERS
from modules.outbox.models import MAILS, SENT_COPIES

_WANTED = (
    *("mail_id", "server_id", "wanted_at", "next_try_at"),
    *("tries", "folder", "failure_words", "failure_advice"),
)


def insert_wanted(
    server_id: ColumnElement[int], now: ColumnElement[object], *conditions: ColumnElement[bool]
) -> Insert:
    """Return the INSERT by which a mail gets a copy; once, however often it runs.

    It goes by the row of the folder, which may be gone by now. What stays here, is used and not kept, or holds a link
    for its recipient alone, is copied nowhere.

    Args:
        server_id: The server that has taken the mail.
        now: The moment.
        conditions: Which mail it is, and what must hold of it besides.
    """
    return insert(SENT_COPIES).from_select(
        _WANTED,
        select(
            MAILS.c.id,
            SENT_FOLDERS.c.server_id,
            now,
            now,
            literal(0),
            literal(""),
            literal(""),
            literal(""),
        )
        .select_from(MAILS.join(SENT_FOLDERS, SENT_FOLDERS.c.server_id == server_id))
        .where(
            *conditions,
            MAILS.c.captured.is_(False),
            MAILS.c.private.is_(False),
            MAILS.c.encrypted_link.is_(None),
            MAILS.c.contents_erased_at.is_(None),
            ~exists(select(SENT_COPIES.c.mail_id).where(SENT_COPIES.c.mail_id == MAILS.c.id)),
        ),
    )


def want_copies(session: Session, mail_ids: Sequence[int]) -> None:
    """Want copies of mails of which it is known only now that their server took them, in the running transaction."""
    now = literal(clock.now(), SENT_COPIES.c.wanted_at.type)
    session.flush()
    session.execute(insert_wanted(MAILS.c.server_id, now, MAILS.c.id.in_(mail_ids)))
    enqueue_after_commit("outbox.keep_copies")
