from __future__ import annotations

import io
import json
import os
import zipfile

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from core import cli, clock
from core.db import db, transaction
from core.errors import UserError
from core.mail.addresses import normalize
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.service import save_partner
from modules.outbox import service
from modules.outbox.cli.retention import outbox_personal
from modules.outbox.delivery.run import deliver
from modules.outbox.erasure import JUST_STORED
from modules.outbox.message import file_store
from modules.outbox.models import BulkRun, MailEvent, MailRecipient, OutgoingMail
from modules.outbox.privacy import person
from modules.outbox.privacy.person_export import write_export
from modules.outbox.states import MailState
from modules.outbox.transitions import move
from tests.outbox.conftest import draft, with_file

pytestmark = pytest.mark.smtp

ADDRESS = "refused+jeanne@example.com"


def everything() -> str:
    """Return all that the outbox remembers, as one text."""
    db.session.rollback()
    tables = (
        "outbox_mail",
        "outbox_recipient",
        "outbox_attempt",
        "outbox_event",
        "outbox_alert",
        "outbox_search",
        "outbox_bulk_run",
        "core_partner_search",
    )
    return "\n".join(
        str(row)
        for table in tables
        for row in db.session.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
    )


def known_of(address: str) -> tuple[int, int, int, int]:
    found = person.known(address)
    return found.received, found.waiting, len(found.contacts), len(found.users)


@pytest.fixture
def failed(company, server, make_user):
    """A mail with a file to two people, one of whom was refused."""
    seller = make_user()
    made = with_file(draft(company, f"Jeanne Roux <{ADDRESS}>", "other@example.com"))
    made.subject = f"Offer for {ADDRESS.upper()}"
    mail = service.submit(made, seller)
    deliver([mail.id])
    moment = (clock.now() - JUST_STORED).timestamp() - 1
    os.utime(file_store().path(mail.attachments[0].sha256), (moment, moment))
    db.session.rollback()
    assert mail.state is MailState.PARTIAL
    return mail


@pytest.mark.both_databases
def test_nothing_of_an_erased_address_is_left(failed, make_user):
    boss = make_user("administrator")
    assert ADDRESS in everything()
    sha256 = failed.attachments[0].sha256
    done = person.erase(ADDRESS, boss)
    assert (done.mails, done.left, done.files_later) == (1, False, 0)
    remembered = everything().lower()
    for trace in (ADDRESS, "jeanne", "roux", "hello"):
        assert trace not in remembered
    assert not file_store().path(sha256).exists()
    mine, other = failed.recipients
    assert mine.addr_spec == person.pseudonym(ADDRESS)
    assert mine.addr_spec.endswith("@erased.invalid")
    assert (mine.state, mine.failure_kind) == (RecipientState.REFUSED, FailureKind.RECIPIENT_UNKNOWN)
    assert (other.addr_spec, other.state) == ("other@example.com", RecipientState.ACCEPTED)
    assert failed.state is MailState.PARTIAL
    assert failed.subject == f"Offer for {person.pseudonym(ADDRESS)}"
    event = db.session.query(MailEvent).filter_by(verb="erase").one()
    assert event.by_user_id == boss.id
    assert service.resend([failed.id]) == []


def test_erasing_twice_is_erasing_once(failed, make_user):
    boss = make_user("administrator")
    person.erase(ADDRESS, boss)
    before = everything()
    again = person.erase(ADDRESS, boss)
    assert again == person.Erasure()
    assert everything() == before
    assert known_of(ADDRESS) == (0, 0, 0, 0)


def test_an_address_is_found_however_it_is_written(failed):
    assert known_of(ADDRESS.upper()) == (1, 0, 0, 0)
    done = person.erase(person.read_address(f" {ADDRESS.title()} "), None)
    assert done.mails == 1


def test_the_address_is_also_taken_from_where_it_was_corrected(failed, make_user):
    seller = make_user("support")
    recipient = failed.recipients[0]
    service.correct_recipient(recipient, "right@example.com", by=seller)
    assert known_of(ADDRESS)[0] == 0
    assert ADDRESS in everything()
    done = person.erase(ADDRESS, seller)
    assert (done.mails, done.histories) == (0, 1)
    assert ADDRESS not in everything().lower()
    assert recipient.addr_spec == "right@example.com"
    assert failed.body_html


def test_a_mail_to_nobody_else_that_waits_is_canceled(app, company, server, send):
    mail = send(ADDRESS)
    done = person.erase(ADDRESS, None)
    assert (done.mails, done.canceled, done.left) == (1, 1, False)
    db.session.rollback()
    assert mail.state is MailState.CANCELED
    assert mail.contents_erased_at is not None
    assert deliver([mail.id]) == 0


def test_a_mail_that_others_wait_for_leaves_without_this_recipient(app, server, lab, send):
    mail = send("gone@example.com", "other@example.com")
    done = person.erase("gone@example.com", None)
    assert (done.mails, done.shared, done.left) == (0, 1, True)
    deliver([mail.id])
    assert [list(got.recipients) for got in lab.accepted] == [["other@example.com"]]
    db.session.rollback()
    assert mail.state is MailState.PARTIAL
    done = person.erase("gone@example.com", None)
    assert (done.mails, done.left) == (1, False)
    assert "gone@example.com" not in everything()


def test_who_has_the_mail_already_does_not_stop_it_for_the_others(app, server, lab, send):
    mail = send("fine@example.com", "later+b@example.com")
    deliver([mail.id])
    db.session.rollback()
    assert mail.state is MailState.DEFERRED
    done = person.erase("fine@example.com", None)
    assert done.shared == 1
    db.session.rollback()
    assert [row.state for row in mail.recipients] == [RecipientState.ACCEPTED, RecipientState.DEFERRED]


def test_a_mail_that_is_being_sent_is_left_and_told(app, server, send):
    mail = send(ADDRESS)
    with transaction():
        move(mail, "claim", MailState.SENDING)
    done = person.erase(ADDRESS, None)
    assert (done.mails, done.sending, done.left) == (0, 1, True)
    assert ADDRESS in everything()
    with transaction():
        move(mail, "settle", MailState.SENT)
    assert person.erase(ADDRESS, None).mails == 1


def test_more_than_fits_into_one_go_goes_on_the_next_time(app, server, send, monkeypatch):
    monkeypatch.setattr(person, "BATCH", 2)
    for _ in range(5):
        send(ADDRESS)
    done = person.erase(ADDRESS, None, seconds=0)
    assert done.mails == 2
    assert done.unfinished
    assert person.erase(ADDRESS, None).mails == 3


def test_contacts_keep_their_address_unless_asked(app, company, server, send):
    partner = save_partner(None, {"name": "Jeanne", "email": ADDRESS.upper()})
    send(ADDRESS)
    assert person.erase(ADDRESS, None).contacts == 0
    assert partner.email
    assert person.erase(ADDRESS, None, also_contacts=True).contacts == 1
    db.session.rollback()
    assert partner.email == ""


def test_the_history_of_addresses_is_told_and_erased_with_the_address(app, company):
    """Also of a contact who has another address by now, and where the contact's own is erased by this."""
    former = save_partner(None, {"name": "Jeanne", "email": ADDRESS})
    save_partner(former, {"email": "other@example.com"})
    present = save_partner(None, {"name": "Paul", "email": "before@example.com"})
    save_partner(present, {"email": ADDRESS})
    file = io.BytesIO()
    write_export(ADDRESS, file)
    told = json.loads(zipfile.ZipFile(file).read("personal-data.json"))["address_history"]
    assert [(row["name"], row["what"]) for row in told] == [("Jeanne", "taken away"), ("Paul", "given")]
    assert "other@example.com" not in str(told), "that is somebody else's"
    person.erase(ADDRESS, None, also_contacts=True)
    rows = db.session.execute(text("SELECT * FROM core_partner_change")).all()
    assert rows == []
    assert not person.known(ADDRESS).anything


def test_the_mark_leads_nowhere_and_is_the_same_for_the_same_address(app):
    first, second = person.pseudonym(ADDRESS), person.pseudonym(ADDRESS.upper())
    assert first == second != person.pseudonym("other@example.com")
    with pytest.raises(UserError):  # RFC 2606: a name that nobody will ever have
        normalize(first)


# -- export --------------------------------------------------------------------------------------------


def export(address: str, **options) -> tuple[dict, zipfile.ZipFile]:
    file = io.BytesIO()
    write_export(address, file, **options)
    archive = zipfile.ZipFile(file)
    return json.loads(archive.read("personal-data.json")), archive


@pytest.mark.both_databases
def test_the_export_holds_everything_of_the_person_and_nothing_of_others(failed, make_user):
    save_partner(None, {"name": "Jeanne Roux", "email": ADDRESS, "phone": "0102030405"})
    data, archive = export(ADDRESS)
    (mail,) = data["mails"]
    assert mail["recipient"][0]["address"] == ADDRESS
    assert mail["recipient"][0]["reply"].startswith("550")
    assert mail["other_recipients"] == 1
    assert "other@example.com" not in json.dumps(data)
    assert mail["events"][0]["step"] == "submit"
    assert data["contacts"][0]["phone"] == "0102030405"
    assert b"A subject" in archive.read(mail["message"]) or b"Offer" in archive.read(mail["message"])


def test_what_was_erased_or_never_made_is_said_to_be_missing(app, server, send):
    send(ADDRESS)
    data, archive = export(ADDRESS)
    assert data["mails"][0]["message"] == "not kept"
    assert archive.namelist() == ["personal-data.json"]


def test_a_download_is_bounded_but_its_list_is_whole(failed, send, server):
    other = send(ADDRESS)
    deliver([other.id])
    newer, older = other.id, failed.id
    data, archive = export(ADDRESS, messages=1)
    assert [mail["id"] for mail in data["mails"]] == [newer, older]
    assert [name for name in archive.namelist() if name.endswith(".eml")] == [f"mails/{newer}.eml"]
    assert "left out" in data["mails"][1]["message"]


def test_nothing_known_is_no_file(app, company):
    with pytest.raises(UserError, match="Nothing is known"):
        export("nobody@example.com")


# -- the page and the command line ---------------------------------------------------------------------


def test_the_page_shows_hands_over_and_erases(failed, make_user, sign_in):
    browser = sign_in(make_user("administrator"))
    assert browser.get("/outbox/personal").status_code == 200
    page = browser.post("/outbox/personal", data={"address": ADDRESS}).text
    assert "What will happen" in page
    answer = browser.post("/outbox/personal/export", data={"address": ADDRESS})
    assert answer.mimetype == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(answer.data)).namelist()
    answer.close()
    page = browser.post("/outbox/personal/erase", data={"address": ADDRESS}).text
    assert "1 email erased" in page
    assert ADDRESS not in everything()


@pytest.mark.parametrize("path", ["", "/export", "/erase"])
@pytest.mark.parametrize("typed", ["", "nonsense", "<script>alert(1)</script>", "a" * 20_000])
def test_what_is_no_address_is_said_beside_its_field(app, make_user, sign_in, path, typed):
    answer = sign_in(make_user("administrator")).post(f"/outbox/personal{path}", data={"address": typed})
    assert answer.status_code == 422
    assert "is not a valid email address" in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("role", ["salesperson", "support", "cashier"])
def test_only_who_may_sees_personal_data(app, make_user, sign_in, role):
    browser = sign_in(make_user(role))
    assert browser.get("/outbox/personal").status_code == 403
    for path in ("", "/export", "/erase"):
        assert browser.post(f"/outbox/personal{path}", data={"address": ADDRESS}).status_code == 403


def test_the_command_line(failed, app, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "_application", [app])
    target = tmp_path / "out.zip"
    result = CliRunner().invoke(outbox_personal, ["export", ADDRESS, "--to", str(target)])
    assert result.exit_code == 0, result.output
    assert zipfile.ZipFile(target).namelist()
    assert target.stat().st_mode & 0o077 == 0
    result = CliRunner().invoke(outbox_personal, ["export", ADDRESS, "--to", str(target)])
    assert result.exit_code != 0, "an earlier export is not overwritten"
    result = CliRunner().invoke(outbox_personal, ["erase", ADDRESS], input="n\n")
    assert result.exit_code != 0
    assert ADDRESS in everything()
    result = CliRunner().invoke(outbox_personal, ["erase", ADDRESS, "--yes"])
    assert result.exit_code == 0, result.output
    assert ADDRESS not in everything()


def test_what_somebody_once_searched_for_is_forgotten(app, make_user):
    boss = make_user("administrator")
    with transaction() as session:
        asked = json.dumps({"q": ADDRESS})
        session.add(BulkRun(action="cancel", criteria=asked, by_user_id=boss.id, ended_at=clock.now()))
    person.erase(ADDRESS, boss)
    assert ADDRESS not in everything()


def test_nobody_who_is_not_asked_for_is_touched(failed):
    person.erase("ther@example.com", None)
    person.erase("%@example.com", None)
    assert ADDRESS in everything()
    assert db.session.query(MailRecipient).filter(MailRecipient.addr_spec.contains("erased")).count() == 0
    assert db.session.query(OutgoingMail).one().body_html
