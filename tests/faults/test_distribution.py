"""What goes by itself, while the process that does it is killed at every step: each goes once, and none is lost."""

from __future__ import annotations

import datetime as dt
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import clock
from core.auth.models import User
from core.db import db
from core.documents.models import Document
from modules.distribution import archive
from modules.distribution import dispatches as verbs
from modules.distribution.models import Rule
from modules.outbox.models import OutgoingMail
from modules.sales.models import Invoice
from modules.sales.service import invoices
from tests.distribution import conftest
from tests.distribution.conftest import *  # noqa: F403 (fixtures)

pytestmark = pytest.mark.both_databases


def _die(*_args: object, **_named: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_a_process_that_dies(act: Callable[[], object]) -> None:
    db.session.rollback()
    db.engine.dispose()  # no connection is shared with the child
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:  # noqa: BLE001 (told to whoever reads the test's output)
            traceback.print_exc()
        finally:
            os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was to be killed"


def _pass_by(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + dt.timedelta(minutes=minutes))


def _mails() -> int:
    db.session.rollback()
    return db.session.query(OutgoingMail).count()


def test_killed_between_posting_and_due(
    app: Flask,
    rule: Callable[..., Rule],
    draft_invoice: Callable[..., Invoice],
    seller: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule(to_main=True, automatic=True, grace_minutes=15)
    invoice = draft_invoice()
    number, by = invoice.document_id, seller.id

    def post() -> None:
        invoices.post(db.session.get_one(Invoice, number), db.session.get_one(User, by))
        _die()

    _in_a_process_that_dies(post)
    assert conftest.states() == [("mail", "due")]
    _pass_by(monkeypatch, 16)
    for _ in range(3):
        verbs.go()
    assert (conftest.states(), _mails()) == ([("mail", "done")], 1)


@pytest.mark.parametrize("step", ["claimed", "drafted", "written"])
def test_killed_while_the_mail_is_written(
    app: Flask,
    rule: Callable[..., Rule],
    posted: Callable[..., Document],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    rule(to_main=True, automatic=True, grace_minutes=0)
    posted()

    def go() -> None:
        places = {
            "claimed": (verbs, "draft_of"),
            "drafted": (verbs.outbox, "write_mail"),
            "written": (verbs.outbox, "enqueue_delivery"),
        }
        setattr(*places[step], _die)
        verbs.go()

    _in_a_process_that_dies(go)
    assert (conftest.states(), _mails()) == ([("mail", "due")], 0)
    verbs.go()
    assert _mails() == 0  # the dead process has it still
    _pass_by(monkeypatch, 6)
    for _ in range(2):
        verbs.go()
    assert (conftest.states(), _mails()) == ([("mail", "done")], 1)


@pytest.mark.parametrize("step", ["noted", "appeared"])
def test_killed_while_the_file_is_archived(
    app: Flask,
    rule: Callable[..., Rule],
    posted: Callable[..., Document],
    archive_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    rule(archived=True, automatic=True, grace_minutes=0)
    posted()

    def go() -> None:
        setattr(*((archive.os, "link") if step == "noted" else (archive, "_sync")), _die)
        verbs.go()

    _in_a_process_that_dies(go)
    _pass_by(monkeypatch, 6)
    verbs.go()
    assert conftest.states() == [("archive", "done")]
    assert len(list(archive_dir.rglob("*.pdf"))) == 1
