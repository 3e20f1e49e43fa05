"""The queue of mails that are due: RQ is given their ids after the commit, and forgets without harm."""

from __future__ import annotations

from collections.abc import Sequence

from core import clock
from core.db import on_commit, transaction
from core.jobs import enqueue
from modules.outbox.states import MailState
from modules.outbox.transitions import locked_mails, move

CHUNK = 100
"""How many mails one job delivers: RQ costs some milliseconds a job, a chunk is redone as a whole."""


def release_due(mail_ids: Sequence[int]) -> list[int]:
    """Let those of scheduled mails whose time has come go on the queue, and return their ids.

    For the job that is asked for at that time; whatever becomes of it, the sweep finds them.
    """
    done: list[int] = []
    with transaction() as session:
        now = clock.now()
        for mail in locked_mails(mail_ids):
            if mail.state is MailState.SCHEDULED and mail.next_attempt_at <= now:
                move(mail, "release", MailState.QUEUED)
                done.append(mail.id)
        session.flush()
    return done


def enqueue_delivery(mail_ids: Sequence[int], *, front: bool = False) -> None:
    """Put mails on the queue after the commit, in chunks; at its front, if a person is waiting for them.

    Where the queue does not take one chunk, it is not asked to take the others: each question may last a second,
    and the sweep finds them.
    """

    def put() -> None:
        for start in range(0, len(mail_ids), CHUNK):
            if not enqueue("outbox.deliver_mails", list(mail_ids[start : start + CHUNK]), front=front):
                return

    on_commit(put)
