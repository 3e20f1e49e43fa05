"""A disk that is full, or a folder that nobody may write to: it is said, nothing is half written, nothing is lost."""
# ruff: noqa: F811 (fixtures of other files are named like the arguments that ask for them)

from __future__ import annotations

import io
import resource
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from core.db import db
from modules.outbox.delivery.run import deliver
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from tests.outbox.pages import changed, opened, press_send
from tests.outbox.processes import acceptances, states_of
from tests.outbox.test_composer import browser, order, quotation, seller, url  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.smtp]


@pytest.fixture
def disk(app: Flask) -> Iterator[Callable[[bool], None]]:
    """Fill the disk, and make room again: while it is full, no file of this process grows beyond 8 KB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with db.engine.connect() as connection:
        # The log is begun anew, so that whatever is committed must make it grow.
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def fill(full: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192 if full else soft, hard))

    yield fill
    fill(False)


def test_a_disk_that_fills_up_between_the_answer_and_its_record_delays_the_outcome(lab, server, send, disk):
    ids = [send(f"n{n}@example.com").id for n in range(2)]
    full = threading.Event()

    def fill(verb: str, _arg: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and not full.is_set():
            full.set()
            disk(True)
            threading.Timer(1.5, disk, [False]).start()

    lab.on_command = fill
    begun = time.monotonic()
    assert deliver(ids) == 2
    assert time.monotonic() - begun > 1.5, "the disk was full indeed"
    assert states_of(ids) == ["sent", "sent"]
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 2


def test_a_page_that_cannot_be_saved_says_that_nothing_was_changed(company, make_user, sign_in, send, disk):
    seller = make_user()
    mail_id = send("ann@example.com", by=seller).id
    browser = sign_in(seller)
    disk(True)
    answer = browser.post(f"/outbox/mails/{mail_id}/cancel")
    disk(False)
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text
    assert states_of([mail_id]) == ["queued"]
    assert browser.post(f"/outbox/mails/{mail_id}/cancel").status_code == 302
    assert states_of([mail_id]) == ["canceled"]


def test_an_upload_that_the_disk_does_not_take_is_said_and_nothing_is_half_written(browser, quotation, disk):
    form = changed(opened(browser, quotation), subject="What I typed", changed=["subject"])

    def upload():
        file = (io.BytesIO(b"x" * 100_000), "plan.png")
        return browser.post("/outbox/compose/file", data={"file": file})

    disk(True)
    answer = upload()
    disk(False)
    assert answer.status_code == 422
    assert "“plan.png” could not be stored" in answer.get_json()["error"]
    assert [path for path in file_store().root.rglob("*") if path.is_file()] == []
    assert list(db.session.scalars(select(OutgoingMail))) == []

    again = changed(form, file=[upload().get_json()["token"]])
    assert press_send(browser, quotation, again).status_code == 302
    assert len([path for path in file_store().root.rglob("*") if path.is_file()]) == 1
