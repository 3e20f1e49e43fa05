"""A clock that jumps and a disk that is full: late perhaps, but once, and never lost."""

from __future__ import annotations

import datetime as dt
import resource
from collections.abc import Callable
from functools import partial

import pytest

from core import clock
from core.db import db, transaction
from core.db.group_commit import GroupCommit
from core.files import FileStore
from core.files.opening import establish
from core.mail.outcomes import FailureKind
from modules.outbox import erasure, service
from modules.outbox.delivery import claims, lane
from modules.outbox.delivery import run as delivery
from modules.outbox.delivery.shared import Shared
from modules.outbox.delivery.sweep import sweep
from modules.outbox.message import file_store
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, with_file

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


@pytest.fixture
def jump(monkeypatch) -> Callable[..., None]:
    """Put the clock on or back."""
    time = [NOW]
    monkeypatch.setattr(clock, "now", lambda: time[0])

    def jump(**by: float) -> None:
        time[0] += dt.timedelta(**by)

    return jump


def state(mail_id: int) -> str:
    db.session.expire_all()
    return db.session.get_one(OutgoingMail, mail_id).state.value


def mark(mail_id: int) -> None:
    """Claim a mail and mark it in flight, as a worker does that is then heard of no more."""
    token = claims.claim([mail_id])
    (mail,) = claims.claimed(token)
    writer = GroupCommit(db.engine)
    assert lane.Lane(Shared(claims.retry_policy(), writer))._set_in_flight(mail)
    writer.close()


JUMPS = [{"days": 3}, {"hours": 2}, {"days": -3}, {"days": -400}]


@pytest.mark.parametrize("by", JUMPS, ids=str)
def test_whatever_the_clock_does_no_mail_is_stuck_and_none_goes_twice(jump, server, send, lab, by):
    queued, deferred, held, flying = (
        send(address).id
        for address in ("queued@example.com", "later+d@example.com", "held@example.com", "flying@example.com")
    )
    delivery.deliver([deferred])
    assert claims.claim([held])
    mark(flying)
    assert [state(one) for one in (queued, deferred, held, flying)] == [
        "queued",
        "deferred",
        "sending",
        "sending",
    ]

    lab.scripted = False
    jump(**by)
    sweep()
    assert [state(one) for one in (queued, deferred, held, flying)] == [
        "queued",
        "queued",
        "queued",
        "uncertain",
    ]
    for _ in range(2):
        delivery.deliver([queued, deferred, held, flying])
    assert [state(one) for one in (queued, deferred, held, flying)] == ["sent", "sent", "sent", "uncertain"]
    assert len(lab.accepted) == 3


def test_a_clock_put_back_does_not_hurry_a_mail_that_a_person_has_scheduled(jump, server, company):
    later = NOW + dt.timedelta(days=2)
    scheduled = service.submit(draft(company, "b@example.com"), None, not_before=later).id
    jump(days=-3)
    sweep()
    assert state(scheduled) == "scheduled"
    jump(days=6)
    sweep()
    assert state(scheduled) == "queued"


def test_an_old_mail_still_gets_its_tries_after_the_clock_was_put_on(jump, server, send, lab):
    mail = send("later+a@example.com").id
    jump(days=30)
    delivery.deliver([mail])
    assert state(mail) == "deferred", "it is old by the clock alone"


# ---------------------------------------------------------------------------------------------------- the disk


@pytest.fixture
def full_disk(monkeypatch) -> list[bool]:
    """While the list holds True, the system writes no more than 4 KB to a file of the store."""
    full = [True]
    put = FileStore.put

    def put_on_a_full_disk(self: FileStore, data: bytes) -> str:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if full[0]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            return put(self, data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(FileStore, "put", put_on_a_full_disk)
    return full


def test_a_pdf_that_cannot_be_stored_puts_its_mail_off_and_nothing_is_half_written(
    monkeypatch, full_disk, server, send, lab
):
    pdf = b"%PDF-1.4\n" + bytes(200_000)
    monkeypatch.setattr(lane, "render_pdf", lambda _mail, _position: pdf)
    mail = send("a@example.com")
    with transaction() as session:
        session.add(
            MailAttachment(mail_id=mail.id, name="a.pdf", media_type="application/pdf", generated=True)
        )
    delivery.deliver([mail.id])
    assert state(mail.id) == "deferred"
    mail = db.session.get_one(OutgoingMail, mail.id)
    assert mail.failure_kind is FailureKind.RENDER_FAILED
    assert "could not be stored" in mail.failure_reason
    assert mail.attachments[0].sha256 == ""
    assert [path for path in file_store().root.rglob("*") if path.is_file()] == []
    assert lab.accepted == []

    full_disk[0] = False
    assert service.retry_now([mail.id]) == [mail.id]
    delivery.deliver([mail.id])
    assert state(mail.id) == MailState.SENT
    assert len(lab.accepted) == 1


def test_a_mail_whose_files_cannot_be_reached_waits_and_says_why(
    monkeypatch, server, send, company, lab, make_user, sign_in
):
    store = file_store()
    establish(store)
    monkeypatch.setattr(lane, "render_pdf", lambda _mail, _position: b"%PDF-1.4")
    made = with_file(draft(company, "a@example.com"))
    ids = [service.submit(made, None).id, send("b@example.com").id]
    with transaction() as session:
        session.add(
            MailAttachment(mail_id=ids[1], name="b.pdf", media_type="application/pdf", generated=True)
        )
    away = store.root.rename(store.root.with_name("elsewhere"))  # as a folder that is not mounted any more
    delivery.deliver(ids)
    for mail in map(partial(db.session.get_one, OutgoingMail), ids):
        assert (mail.state, mail.failure_kind) == ("deferred", FailureKind.STORE_AWAY)
        assert mail.attempts == 0
        assert "does not reach the file store of the installation" in mail.failure_reason
    browser = sign_in(make_user("administrator"))
    assert "Files cannot be reached" in browser.get(f"/outbox/mails/{ids[0]}").text
    file = f"/outbox/mails/{ids[0]}/attachments/{db.session.get_one(OutgoingMail, ids[0]).attachments[0].id}"
    response = browser.get(file)
    assert (response.status_code, "The file store is unavailable" in response.text) == (503, True)
    assert erasure.remove_files({made.attachments[0].sha256: clock.now()}) == 0

    away.rename(store.root)
    assert browser.get(file).data == b"some bytes"
    assert set(service.retry_now(ids)) == set(ids)
    delivery.deliver(ids)
    assert [state(one) for one in ids] == ["sent", "sent"]
    assert len(lab.accepted) == 2
