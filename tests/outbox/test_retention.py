from __future__ import annotations

import datetime as dt
import os
import re
from decimal import Decimal

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text, update

from core import cli, clock
from core.db import db, transaction
from core.errors import ConfigError
from core.files import FileMissingError
from core.loader import module_settings
from core.mail.outcomes import RecipientState
from modules.mail_config.models import MailTemplate, TemplateFile, TemplateRevision
from modules.outbox import service
from modules.outbox.cli.retention import outbox_retention
from modules.outbox.erasure import erase_contents, remove_files
from modules.outbox.message import file_store
from modules.outbox.models import DeliveryAttempt, DraftFile, KeptDraft, MailEvent, OutgoingMail
from modules.outbox.privacy import person, retention
from modules.outbox.states import MailState
from modules.outbox.transitions import move
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.conftest import draft, with_file

LONG_AGO = 3 * 24 * 3600


@pytest.fixture
def settled(company):
    """Write a mail with a file that has settled some days ago."""

    def make(
        state: MailState = MailState.SENT,
        *,
        days: float = 10,
        keep: int | None = None,
        data: bytes = b"some bytes",
    ) -> OutgoingMail:
        made = with_file(draft(company, "a@example.com", keep_days=keep), data=data)
        mail = service.submit(made, None)
        age(mail.attachments[0].sha256)
        with transaction() as session:
            if state is MailState.CANCELED:
                move(mail, "cancel", state)
            else:
                move(mail, "claim", MailState.SENDING)
                move(mail, "settle", state)
            mail.message_sha256 = "f" * 64
            mail.recipients[0].state = RecipientState.ACCEPTED
            now = clock.now()
            mail.settled_at = None if state is MailState.DEFERRED else now - dt.timedelta(days=days)
            session.add(
                DeliveryAttempt(
                    mail=mail, started_at=now, ended_at=now, outcome=state, transcript="RCPT TO:<a@…>"
                )
            )
        return mail

    return make


def age(sha256: str, seconds: float = LONG_AGO) -> None:
    """Let a file have been stored some time ago."""
    moment = clock.now().timestamp() - seconds
    os.utime(file_store().path(sha256), (moment, moment))


def there(sha256: str) -> bool:
    try:
        file_store().get(sha256)
    except FileMissingError:
        return False
    return True


def erased(mail: OutgoingMail) -> bool:
    db.session.rollback()
    gone = mail.contents_erased_at is not None
    assert gone is (mail.body_html == "")
    assert gone is (mail.body_text == "")
    assert gone is (mail.attempt_rows[0].transcript == "")
    return gone


@pytest.mark.both_databases
def test_after_its_time_the_contents_go_and_the_line_stays(app, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    old, fresh = settled(days=8), settled(days=6, data=b"other bytes")
    sha256 = old.attachments[0].sha256
    report = retention.apply()
    assert (report.mails, report.files) == (1, 1)
    assert erased(old)
    assert not erased(fresh)
    assert not there(sha256)
    assert there(fresh.attachments[0].sha256)
    assert old.subject == "A subject"
    assert old.message_sha256 == "f" * 64
    assert [recipient.addr_spec for recipient in old.recipients] == ["a@example.com"]
    assert (old.attachments[0].sha256, old.attachments[0].size) == (sha256, 10)
    last = db.session.scalars(
        select(MailEvent).where(MailEvent.mail_id == old.id).order_by(MailEvent.id)
    ).all()[-1]
    assert (last.verb, last.before, last.after) == ("erase", MailState.SENT, MailState.SENT)
    assert retention.apply().mails == 0


def test_by_default_everything_is_kept(app, settled):
    mail = settled(days=10_000)
    assert retention.apply().mails == 0
    assert not erased(mail)


@pytest.mark.parametrize(
    "state", [MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN, MailState.CANCELED]
)
def test_what_has_settled_otherwise_goes_as_well(app, settled, state):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    mail = settled(state)
    assert retention.count_due() == 1
    retention.apply()
    assert erased(mail)
    assert service.resend([mail.id]) == []


def test_what_waits_keeps_everything(app, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 1
    mail = settled(MailState.DEFERRED, keep=0)
    with transaction():
        mail.settled_at = clock.now() - dt.timedelta(days=90)  # as if it had settled once
    assert retention.apply().mails == 0
    assert not erased(mail)


@pytest.mark.parametrize(
    ("keep", "days", "setting", "gone"),
    [
        (None, 10, 0, False),
        (None, 10, 9, True),
        (None, 10, 11, False),
        (30, 29, 1, False),
        (30, 31, 0, True),
        (0, 0, 0, True),
    ],
)
def test_the_template_outweighs_the_setting(app, settled, keep, days, setting, gone):
    app.config["OUTBOX_KEEP_DAYS"] = setting
    mail = settled(days=days, keep=keep)
    retention.apply()
    assert erased(mail) is gone


def test_with_no_days_what_failed_is_kept_for_whoever_resends(app, settled):
    failed, sent = settled(MailState.FAILED, keep=0), settled(keep=0)
    retention.apply()
    assert not erased(failed)
    assert erased(sent)
    app.config["OUTBOX_KEEP_DAYS"] = 5
    retention.apply()
    assert erased(failed)


def test_a_resent_mail_is_safe_from_a_run_that_has_just_found_it(app, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 1
    mail = settled(MailState.FAILED)
    with transaction():
        mail.recipients[0].state = RecipientState.REFUSED
    service.resend([mail.id])
    with transaction() as session:
        assert erase_contents(session, [mail.id]) == []
    assert not erased(mail)


# -- files ---------------------------------------------------------------------------------------------


def test_bytes_that_another_mail_needs_stay_until_it_needs_them_no_more(app, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    old, fresh = settled(days=8), settled(days=1)
    sha256 = old.attachments[0].sha256
    assert fresh.attachments[0].sha256 == sha256
    assert retention.apply().files == 0
    assert there(sha256)
    with transaction():
        fresh.settled_at = clock.now() - dt.timedelta(days=8)
    assert retention.apply().files == 1
    assert not there(sha256)


def test_bytes_that_somebody_has_just_stored_again_stay(app, company, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    mail = settled()
    sha256 = mail.attachments[0].sha256
    upcoming = with_file(draft(company, "b@example.com"))  # stored, its row not yet written
    assert retention.apply().mails == 1
    assert there(sha256)
    later = service.submit(upcoming, None)
    age(sha256)
    retention.apply(folders=[sha256[:2]])
    assert later.attachments[0].sha256 == sha256
    assert there(sha256)


def test_a_composer_that_still_holds_a_file_keeps_it(app, settled):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    sha256 = settled().attachments[0].sha256
    assert file_store().touch(sha256)
    retention.apply()
    assert there(sha256)


def test_forgotten_files_go_after_a_day(app, settled):
    store = file_store()
    forgotten, fresh, used = store.put(b"forgotten"), store.put(b"fresh"), settled().attachments[0].sha256
    age(forgotten)
    leftover = store.path(forgotten).with_name(f"{forgotten}.0011aabb.tmp")
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    report = retention.apply(folders=store.folders())
    assert report.orphans == 1
    assert [there(sha256) for sha256 in (forgotten, fresh, used)] == [False, True, True]
    assert not leftover.exists()


def test_every_folder_is_looked_through_within_a_day(app, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(retention, "sweep_folder", lambda folder: seen.append(folder) or 0)
    day = clock.now().replace(hour=0)
    for hour in range(24):
        monkeypatch.setattr(clock, "now", lambda hour=hour: day.replace(hour=hour))
        retention.apply()
    assert sorted(seen) == file_store().folders()


def test_a_run_that_is_ended_early_goes_on_the_next_time(app, settled, monkeypatch):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    monkeypatch.setattr(retention, "BATCH", 2)
    mails = [settled(data=bytes([number])) for number in range(5)]
    assert retention.apply(seconds=0).mails == 0
    assert retention.apply().mails == 5
    assert all(erased(mail) for mail in mails)
    assert not any(there(mail.attachments[0].sha256) for mail in mails)


@pytest.mark.both_databases
def test_what_is_due_is_found_by_an_index(app, settled, backend):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    settled(keep=3)
    statements = [
        str(select(OutgoingMail.id).where(c).compile(db.engine, compile_kwargs={"literal_binds": True}))
        for c in retention.due_conditions()
    ]
    # Those of the setting and of the mail; those with a link: sent, and expired; the private ones: sent, and old.
    assert len(statements) == 6
    for statement in statements:
        if backend == "sqlite":
            plan = " ".join(row[3] for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {statement}")))
        else:
            db.session.execute(text("SET LOCAL enable_seqscan = off"))
            plan = " ".join(row[0] for row in db.session.execute(text(f"EXPLAIN {statement}")))
        assert re.search("ix_outbox_mail_(contents|link|private)", plan), plan


@pytest.mark.parametrize(("given", "kept"), [("0", 0), ("", 0), ("365", 365)])
def test_the_setting_may_be_nothing(app, given, kept):
    registry = app.extensions["envoi_registry"]
    assert module_settings(registry, {"OUTBOX_KEEP_DAYS": given})["OUTBOX_KEEP_DAYS"] == kept


@pytest.mark.parametrize("given", ["-1", "x", "1.5"])
def test_a_setting_that_makes_no_sense_is_refused_at_the_start(app, given):
    with pytest.raises(ConfigError, match="OUTBOX_KEEP_DAYS"):
        module_settings(app.extensions["envoi_registry"], {"OUTBOX_KEEP_DAYS": given})


def test_the_command_line_says_what_it_would_do_before_it_does_it(app, settled, monkeypatch):
    app.config["OUTBOX_KEEP_DAYS"] = 7
    monkeypatch.setattr(cli, "_application", [app])
    mail = settled()
    result = CliRunner().invoke(outbox_retention, ["--dry-run"])
    assert "Emails whose contents would go now: 1." in result.output
    assert not erased(mail)
    result = CliRunner().invoke(outbox_retention)
    assert "Contents of emails erased: 1. Files removed: 1." in result.output
    assert erased(mail)
    event = db.session.scalars(select(MailEvent).where(MailEvent.verb == "erase")).one()
    assert event.actor.startswith("command line (")


def test_the_time_comes_with_the_template(app, company, sign_in, make_user):
    boss = make_user("administrator")
    browser = sign_in(boss)
    row = db.session.scalars(select(MailTemplate).limit(1)).one()

    def save(keep_days: str) -> int:
        db.session.expire_all()
        values = {"name": row.name, "company_id": "0", "position": "10", "active": "y", "priority": "normal"}
        for item in row.texts:
            values |= {f"subject_{item.language}": item.subject, f"body_{item.language}": item.body}
        values |= {"keep_days": keep_days, "seen_revision": str(row.revision)}
        status = browser.post(f"/mail_config/templates/{row.id}", data=values).status_code
        db.session.expire_all()
        return status

    assert save("-1") == 422
    assert save("0") == 302
    assert row.keep_days == 0
    assert save("") == 302
    assert row.keep_days is None


# -- what is not yet, or no more, a mail -------------------------------------------------------------------


@pytest.fixture
def kept(customer, make_user, company):
    """Keep a draft with a file, touched some days ago."""
    seller = make_user()

    def make(days: float, data: bytes = b"of a draft") -> str:
        values = orders.QuotationValues(
            customer.id, clock.day_in("UTC"), [LineValues("Lamp", Decimal(2), Decimal(50))]
        )
        document = orders.create_quotation(company, values, seller).document
        sha256 = file_store().put(data)
        age(sha256)
        with transaction() as session:
            draft = KeptDraft(
                document_id=document.id,
                user_id=seller.id,
                token="t",
                contents="{}",
                touched_at=clock.now() - dt.timedelta(days=days),
            )
            session.add(draft)
            session.flush()
            session.add(DraftFile(draft_id=draft.id, sha256=sha256))
        return sha256

    return make


@pytest.mark.both_databases
def test_what_somebody_left_unsent_is_kept_for_a_month_with_its_files(app, kept):
    recent, old = kept(29, b"recent"), kept(31, b"old")
    assert remove_files(dict.fromkeys([recent, old], clock.now())) == 0
    report = retention.apply()
    assert (report.drafts, report.files) == (1, 1)
    assert there(recent)
    assert not there(old)
    assert db.session.scalars(select(DraftFile.sha256)).all() == [recent]
    assert retention.apply().drafts == 0


def test_a_file_that_a_mail_shares_with_a_forgotten_draft_stays(app, kept, settled):
    sha256 = kept(31, b"some bytes")
    settled()
    assert retention.apply().drafts == 1
    assert there(sha256)


@pytest.mark.both_databases
def test_files_of_templates_stay_those_of_former_revisions_too(app):
    now, before, never = (file_store().put(data) for data in (b"now", b"before", b"never"))
    for sha256 in (now, before, never):
        age(sha256)
    with transaction() as session:
        template = MailTemplate(name="T", kind="sales.order")
        session.add(template)
        session.flush()
        session.add(
            TemplateFile(template_id=template.id, name="a", media_type="text/plain", size=3, sha256=now)
        )
        session.add(TemplateRevision(template_id=template.id, contents=f'{{"files": ["{before}"]}}'))
    assert retention.apply(folders=file_store().folders()).orphans == 1
    assert (there(now), there(before), there(never)) == (True, True, False)


# -- at once -------------------------------------------------------------------------------------------


def just_settled(company, *names: str, **changes: object) -> OutgoingMail:
    """Write a mail with files that everybody has got a moment ago."""
    made = draft(company, "a@example.com", **changes)
    for name in names:
        with_file(made, name, name.encode())
    mail = service.submit(made, None)
    with transaction():
        move(mail, "claim", MailState.SENDING)
        move(mail, "settle", MailState.SENT)
        mail.recipients[0].state, mail.accepted_count = RecipientState.ACCEPTED, 1
        mail.settled_at = clock.now()
    return mail


@pytest.mark.both_databases
def test_files_of_what_is_erased_are_removed_at_once(app, company):
    mail = just_settled(company, "one", "two", keep_days=0)
    hashes = [file.sha256 for file in mail.attachments]
    report = retention.apply(folders=[])
    assert (report.mails, report.files) == (1, 2)
    assert not any(map(there, hashes))


def test_files_that_another_mail_holds_go_with_the_last_of_them(app, company):
    first, other = (just_settled(company, "shared", keep_days=keep) for keep in (0, None))
    sha256 = first.attachments[0].sha256
    assert retention.apply(folders=[]).files == 0
    assert there(sha256)
    with transaction():
        other.keep_days = 0
    assert retention.apply(folders=[]).files == 1
    assert not there(sha256)


def test_a_file_that_somebody_takes_up_after_it_was_sent_stays(app, company):
    sha256 = just_settled(company, "shared", keep_days=0).attachments[0].sha256
    assert file_store().touch(sha256)
    assert retention.apply(folders=[]).files == 0
    assert there(sha256)


def test_files_of_an_erased_person_are_removed_at_once(app, company):
    sha256 = just_settled(company, "theirs").attachments[0].sha256
    assert person.erase("a@example.com", by=None).files_later == 0
    assert not there(sha256)


def test_what_a_sent_mail_was_made_of_goes_with_its_text(app, company, kept):
    mail = just_settled(company, "theirs", keep_days=0)
    sha256 = kept(0, b"theirs")
    with transaction() as session:
        mail.submission_token = session.scalars(select(KeptDraft.token)).one()
    retention.apply(folders=[])
    assert db.session.scalars(select(KeptDraft)).all() == []
    assert not there(sha256)


def test_what_was_called_back_and_is_being_changed_stays(app, company, kept):
    mail = just_settled(company, keep_days=0)
    kept(0, b"theirs")
    with transaction() as session:
        mail.submission_token = session.scalars(select(KeptDraft.token)).one()
        session.execute(update(OutgoingMail).values(state=MailState.CANCELED))
        erase_contents(session, [mail.id])
    assert len(db.session.scalars(select(KeptDraft)).all()) == 1
