"""The PDFs of emails in the archive: as they were sent, once, and never in the way of anything else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask_babel import force_locale
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.mail.draft import DraftDocument
from modules.distribution import dispatches as verbs
from modules.distribution import sent_files
from modules.distribution.models import Rule
from modules.distribution.receivers import problems
from modules.distribution.service import RuleValues, save_rule
from modules.outbox import service as outbox
from modules.outbox.compose.draft import draft_for
from modules.outbox.message import file_store
from modules.outbox.models import MailAttachment, MailEvent, OutgoingMail
from modules.outbox.states import MailState
from tests.distribution.conftest import dispatches
from tests.outbox.mails import accepted, become

pytestmark = pytest.mark.both_databases
SentMail = Callable[..., OutgoingMail]


def note_as_sent(mail: OutgoingMail, *pdfs: bytes) -> None:
    """Leave what a delivery leaves: the PDFs that it has made, and its step."""
    with transaction() as session:
        made = session.scalars(
            select(MailAttachment)
            .filter_by(mail_id=mail.id, generated=True)
            .order_by(MailAttachment.position)
        )
        for file, octets in zip(made, pdfs, strict=True):
            file.sha256, file.size = file_store().put(octets), len(octets)
        before, after = MailState.SENDING, MailState.SENT
        session.add(MailEvent(mail_id=mail.id, at=clock.now(), verb="settle", before=before, after=after))


@pytest.fixture
def sent(posted: Callable[..., Document], seller: User) -> SentMail:
    """An invoice that was accepted, with its PDF."""

    def make(octets: bytes = b"%PDF-1.7 as it was sent", **values: object) -> OutgoingMail:
        mail = outbox.submit(draft_for(posted(), None, seller), seller)
        note_as_sent(mail, octets)
        return become(accepted(mail), **values)

    return make


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.timedelta], None]:
    """Let some time pass."""
    now = clock.now

    def pass_by(time: dt.timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: now() + time)

    return pass_by


def files(folder: Path) -> list[str]:
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def test_each_pdf_that_was_accepted_is_kept_as_it_was_sent_and_once(
    app: Flask, rule: Callable[..., Rule], sent: SentMail, archive_dir: Path, later: Callable[..., None]
) -> None:
    sent(b"%PDF-before")  # before anybody wanted it
    made = rule(kind="sales.invoice", archive_sent=True, archive_folder="{year}", archive_name="{kind}")
    first, second = sent(b"%PDF-one"), sent(b"%PDF-two")
    sent(b"%PDF-walk-in", private=True)
    for _turn in range(3):
        verbs.go()
        later(dt.timedelta(minutes=5))
    year = str(clock.now().year)
    # Both are called alike: nothing is written over.
    assert {(archive_dir / name).read_bytes() for name in files(archive_dir)} == {b"%PDF-one", b"%PDF-two"}
    assert {name.partition("/")[0] for name in files(archive_dir)} == {year}
    assert [row.state for row in dispatches()] == ["done", "done"]
    assert {row.document_id for row in dispatches()} == {first.document_id, second.document_id}

    # Without a pattern it has the name that it had in the email.
    with transaction():
        made.archive_name = ""
    third = sent(b"%PDF-three")
    verbs.go()
    assert f"{year}/{third.attachments[0].name}" in files(archive_dir)


def test_of_an_email_about_several_documents_each_is_kept_as_its_own(
    app: Flask, rule: Callable[..., Rule], posted: Callable[..., Document], seller: User, archive_dir: Path
) -> None:
    rule(kind="sales.invoice", archive_sent=True, archive_name="{number}")
    first, second = posted(), posted()
    carried = DraftDocument(second.id, second.revision, "second.pdf")
    draft = replace(draft_for(first, None, seller), further=[carried], zip_name="both.zip")
    mail = outbox.submit(draft, seller)
    note_as_sent(mail, b"%PDF-first", b"%PDF-second")
    become(accepted(mail))
    verbs.go()
    kept = {row.document_id: (archive_dir / row.path).read_bytes() for row in dispatches()}
    assert kept == {first.id: b"%PDF-first", second.id: b"%PDF-second"}


def test_an_archive_that_is_away_is_told_and_takes_the_file_once_it_is_back(
    app: Flask, rule: Callable[..., Rule], sent: SentMail, archive_dir: Path, later: Callable[..., None]
) -> None:
    rule(kind="sales.invoice", archive_sent=True)
    mail = sent()
    archive_dir.rmdir()
    verbs.go()
    (row,) = dispatches()
    assert (row.state, row.detail) == ("due", "The folder of the archive is not there.")
    with force_locale("en"):
        assert any("1 PDF could not be written to the archive" in line for line in problems(app))
    db.session.refresh(mail)
    assert mail.state is MailState.SENT
    archive_dir.mkdir()
    verbs.go()
    assert files(archive_dir) == []  # not at every turn
    later(sent_files.AGAIN + dt.timedelta(minutes=1))
    verbs.go()
    assert len(files(archive_dir)) == 1
    assert problems(app) == []


def test_what_is_kept_no_longer_is_deleted_unless_somebody_has_changed_it(
    app: Flask, rule: Callable[..., Rule], sent: SentMail, archive_dir: Path, later: Callable[..., None]
) -> None:
    rule(kind="sales.invoice", archive_sent=True, archive_keep_days=30)
    sent(b"%PDF-one"), sent(b"%PDF-two")
    verbs.go()
    changed = files(archive_dir)[0]
    (archive_dir / changed).write_bytes(b"%PDF-signed by hand")
    later(dt.timedelta(days=29))
    assert sent_files.forget_old() == 0
    later(dt.timedelta(days=31))
    archive_dir.rename(archive_dir.with_name("away"))
    assert sent_files.forget_old() == 0
    archive_dir.with_name("away").rename(archive_dir)
    assert sent_files.forget_old() == 2
    assert files(archive_dir) == [changed]
    assert sent_files.forget_old() == 0


@pytest.mark.parametrize("folder", ["../..", "/etc", "a/../../b", "..\\..", "{nobody}"])
def test_a_folder_that_leads_out_of_the_archive_is_refused(
    app: Flask, rule: Callable[..., Rule], folder: str
) -> None:
    with pytest.raises(UserError) as refused:
        rule(archive_sent=True, archive_folder=folder)
    assert refused.value.field == "archive_folder"


def test_a_link_that_leads_out_is_not_followed(
    app: Flask, rule: Callable[..., Rule], sent: SentMail, archive_dir: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (archive_dir / "here").symlink_to(outside)
    rule(kind="sales.invoice", archive_sent=True, archive_folder="here")
    sent()
    verbs.go()
    assert list(outside.iterdir()) == []
    assert [row.state for row in dispatches()] == ["held"]


def test_the_page_of_a_rule_opens_a_sample_under_its_name(
    app: Flask, rule: Callable[..., Rule], make_user, sign_in, posted: Callable[..., Document], company
) -> None:
    made = rule(kind="sales.invoice", archive_sent=True, archive_name="{number} {customer}")
    boss = sign_in(make_user("administrator"))
    number = made.id
    nothing = boss.get(f"/distribution/rules/{number}/test-pdf", follow_redirects=True)
    assert "There is no document yet to try it on." in nothing.text
    document = posted()
    opened = boss.get(f"/distribution/rules/{number}/test-pdf")
    assert opened.data.startswith(b"%PDF-")
    assert f"{document.number.replace('/', '-')} Client SA.pdf" in opened.headers["Content-Disposition"]
    with pytest.raises(UserError):
        save_rule(made, RuleValues(company.id, archive_sent=True, archive_keep_days=0))
