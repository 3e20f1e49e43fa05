"""Many mails, two workers, one of them killed again and again, a slow server: nothing lost, nothing doubled."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from core import jobs
from core.db import db, transaction
from modules.outbox import service
from modules.outbox.models import MailRecipient, OutgoingMail
from tests.outbox.conftest import draft
from tests.outbox.processes import WAIT_SECONDS, acceptances, eventually, settled, states_of, sweep_until
from tests.outbox.test_killed import app, hire, lab, settings  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

MAILS = 150
KILLS = 3
SEED = 20260504


def slow(verb: str, _arg: str, stage: str) -> None:
    """A server that takes its time, so that a kill meets workers in the middle of their work."""
    if stage == "before" or (verb, stage) == ("DATA", "received"):
        time.sleep(0.004)


def test_whatever_happens_to_the_workers_every_mail_is_accounted_for(lab, company, hire):  # noqa: F811
    chance = random.Random(SEED)  # noqa: S311 (no secret)
    lab.on_command = slow
    steady, victim = hire(), hire()
    with transaction():
        ids = [
            service.submit(draft(company, f"to{n}@example.com", f"cc{n}@example.com"), None).id
            for n in range(MAILS)
        ]
    # Twice on the queue, in parts of many sizes: that alone must not double anything.
    for start in range(0, MAILS, 30):
        assert jobs.enqueue("outbox.deliver_mails", ids[start : start + 30])

    begun = 0
    for kill in range(KILLS):
        goal = (kill + 1) * MAILS // (KILLS + 2) + chance.randrange(10)
        lab.wait_for(goal, WAIT_SECONDS)
        begun = len(lab.accepted)
        time.sleep(chance.random() * 0.02)  # anywhere in the dialogue
        victim.kill()
        victim = hire()
    assert begun < MAILS, "the last kill came too late to mean anything"
    states = sweep_until(ids, settled, "every mail is settled")
    eventually(lambda: not jobs.queue_length(), "the queue is empty")

    assert states == states_of(ids)
    counted = Counter(states)
    assert sum(counted.values()) == MAILS
    assert set(counted) <= {"sent", "uncertain"}
    # A kill meets at most the mail in flight and the one before it.
    assert counted["uncertain"] <= 2 * KILLS
    taken = acceptances(lab)
    assert set(taken.values()) == {1}
    rows = (
        db.session.query(OutgoingMail.state, OutgoingMail.message_id, MailRecipient.addr_spec)
        .join(MailRecipient)
        .all()
    )
    assert len(rows) == 2 * MAILS
    for state, message_id, addr_spec in rows:
        assert taken[message_id, addr_spec] == 1 or state == "uncertain"
    db.session.rollback()

    # A person asks for the uncertain ones to go again, to both: they may arrive twice, nothing else does.
    uncertain = [mail_id for mail_id, state in zip(ids, states, strict=True) if state == "uncertain"]
    assert service.resend(uncertain) == uncertain
    sweep_until(ids, lambda found: set(found) == {"sent"}, "the uncertain ones are sent")
    resent = {
        row.message_id
        for row in db.session.query(OutgoingMail.message_id).filter(OutgoingMail.id.in_(uncertain))
    }
    db.session.rollback()
    for (message_id, addr_spec), count in acceptances(lab).items():
        assert count == 1 or (message_id in resent and count == 2), (message_id, addr_spec)
    assert len(acceptances(lab)) == 2 * MAILS
    assert steady.alive()
