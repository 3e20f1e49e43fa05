"""Addresses that are used and not kept."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.mail.addresses import Address
from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState, Reply
from core.signals import document_mail_wanted
from modules.mail_config.transports.base import Submission
from modules.outbox import search_index, service
from modules.outbox.compose import autosave
from modules.outbox.delivery.run import deliver
from modules.outbox.message import build_message
from modules.outbox.models import KeptDraft, MailRecipient, OutgoingMail
from modules.outbox.privacy import person, retention
from modules.outbox.private_addresses import (
    address_of,
    hash_in,
    is_address_hash,
    private_hash,
    scrub,
    scrubbed,
)
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, with_file
from tests.outbox.pages import changed, opened

WALK_IN = "refused+Jeanne.Passage@walk-in.example.com"
"""The server of the tests refuses it until it is told to take everything."""


def everything_in(folder: Path) -> bytes:
    """All octets of all files below a folder, among them the database with its log."""
    db.session.commit()
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def is_nowhere(settings, *words: str) -> None:
    found = everything_in(settings.data_dir).lower()
    for word in words:
        assert word.lower().encode() not in found, word


@pytest.fixture
def submitted(company) -> OutgoingMail:
    made = with_file(draft(company, WALK_IN), "receipt.pdf", b"%PDF-1.4 the receipt itself")
    mail = service.submit(replace(made, private=True), None)
    with transaction():
        mail.attachments[0].generated = True  # as if it were the PDF of a ticket
    return mail


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_it_is_used_and_then_nowhere_any_more(submitted, lab, settings):
    is_nowhere(settings, WALK_IN, "jeanne")
    lab.scripted = False
    sha256 = submitted.attachments[0].sha256
    assert deliver([submitted.id]) == 1
    (message,) = lab.accepted
    assert message.recipients == (WALK_IN,)
    assert f"To: {WALK_IN}".encode() in message.data
    db.session.expire_all()
    assert (submitted.state, submitted.body_html) == (MailState.SENT, "")
    assert submitted.contents_erased_at is not None
    assert [(row.encrypted_address, row.addr_spec) for row in submitted.recipients] == [
        (None, hash_in(submitted, WALK_IN))
    ]
    assert not list((settings.data_dir / "files").rglob(sha256))
    is_nowhere(settings, WALK_IN, "jeanne", "the receipt itself")


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_what_the_server_says_of_it_is_kept_without_it(submitted, lab, settings, caplog):
    deliver([submitted.id])
    db.session.expire_all()
    (row,) = submitted.recipients
    assert (submitted.state, row.state) == (MailState.FAILED, RecipientState.REFUSED)
    assert row.diagnostic.startswith("550")
    assert "RCPT TO:<‹address›>" in submitted.attempt_rows[0].transcript
    is_nowhere(settings, WALK_IN, "jeanne")
    assert "jeanne" not in caplog.text.lower()
    assert address_of(row).addr_spec == WALK_IN, "still there to be corrected"
    assert WALK_IN.encode() in build_message(submitted)


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_it_can_be_corrected_and_resent_and_is_gone_then(submitted, lab, settings):
    deliver([submitted.id])
    db.session.expire_all()
    service.correct_recipient(submitted.recipients[0], "jeanne.p@walk-in.example.com")
    assert submitted.recipients[0].addr_spec == hash_in(submitted, "jeanne.p@walk-in.example.com")
    service.resend([submitted.id])
    deliver([submitted.id])
    assert [message.recipients for message in lab.accepted] == [("jeanne.p@walk-in.example.com",)]
    is_nowhere(settings, "jeanne")


def test_servers_that_repeat_an_address_in_any_form_are_scrubbed(app):
    reply = Reply(550, "5.1.1", "<Jane.Doe@Example.COM> User jane.doe unknown")
    failure = Failure(FailureKind.RECIPIENT_UNKNOWN, False, reply=reply, detail="jane.doe@example.com")
    outcome = RecipientOutcome("jane.doe@example.com", RecipientState.REFUSED, reply, failure)
    clean = scrubbed(
        Submission((outcome,), transcript=["C: RCPT TO:<jane.doe@example.com>"]), ["jane.doe@example.com"]
    )
    assert "jane" not in repr(clean).lower()


@pytest.mark.parametrize(
    "said",
    [
        "<{0}>: no such mailbox",
        "bounces-jane.o'neil+shop=mail.example.co.uk@lists.example.net",  # VERP
        "jane.o'neil+shop=40mail.example.co.uk",  # quoted-printable
        "http://help.example.net/?to=jane.o%27neil%2Bshop%40mail.example.co.uk",
        "http://help.example.net/?to=jane.o%2527neil%252Bshop%2540mail.example.co.uk",
        "ORCPT=rfc822;jane.o'neil+2Bshop+40mail.example.co.uk",  # xtext
        "JANE.O'NEIL+SHOP @ mail.example.co.uk",
        "jane.o'neil+shop at mail.example.co.uk",
        "jane.o'neil+shop (at) mail [dot] example [dot] co [dot] uk",
        '"jane.o\'neil+shop"@mail.example.co.uk',
        "jane\\.o\\'neil\\+shop\\@mail.example.co.uk",
        "jane.o&#39;neil&#43;shop&#64;mail.example.co.uk",
        "jane.o&#x27;neil&#x2B;shop&commat;mail.example.co.uk",
        "amFuZS5vJ25laWwrc2hvcEBtYWlsLmV4YW1wbGUuY28udWs=",  # base64
        "mailbox jane.o'neil+shop is full",
        "mailbox Jane.O'Neil is full",
    ],
)
def test_an_address_in_an_encoding_is_scrubbed(said):
    address = "jane.o'neil+shop@mail.example.co.uk"
    clean = scrub(f"550 5.1.1 {said.format(address)} (in reply to RCPT)", [address])
    assert clean.startswith("550 5.1.1 ")
    assert clean.endswith(" (in reply to RCPT)")
    assert "‹address›" in clean
    for word in ("jane", "neil", "shop", "mail.example", "amFu"):
        assert word not in clean.lower()


def test_scrubbing_takes_twice_as_long_for_twice_as_much():
    address = "jane.o'neil+shop@mail.example.co.uk"

    def seconds(times: int) -> float:
        text = "jane.o'neil + shop (at " * times + " " * times
        begun = time.process_time()
        scrub(text, [address])
        return time.process_time() - begun

    once = min(seconds(5_000) for _ in range(3))
    assert min(seconds(20_000) for _ in range(3)) < 12 * once + 0.05


@pytest.mark.parametrize(("days", "gone"), [(6, False), (8, True)])
def test_one_that_failed_is_erased_after_a_set_time(submitted, monkeypatch, days, gone):
    service.cancel([submitted.id])
    later = clock.now() + dt.timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: later)
    retention.apply(folders=[])
    db.session.expire_all()
    assert (submitted.recipients[0].encrypted_address is None) is gone


def test_what_a_dead_worker_left_is_erased_by_the_next_look(submitted):
    with transaction() as session:
        session.execute(OutgoingMail.__table__.update().values(state=MailState.SENT, settled_at=clock.now()))
    retention.apply(folders=[])
    db.session.expire_all()
    assert submitted.recipients[0].encrypted_address is None


def test_it_is_found_by_nobody_but_who_asks_for_it_by_name(submitted):
    assert search_index.matching("jeanne") is not None
    ids, _condition = search_index.narrowing("jeanne")
    assert ids == []
    assert person.known(WALK_IN).received == 1
    done = person.erase(WALK_IN, None)
    assert done.mails == 1
    db.session.expire_all()
    assert submitted.recipients[0].encrypted_address is None


def test_what_stands_for_an_address_is_the_same_in_one_visit_and_another_in_the_next(app):
    mark = private_hash("A@example.com", 7)
    assert mark == private_hash("a@example.com", 7) != private_hash("b@example.com", 7)
    assert mark != private_hash("a@example.com", 8)
    assert private_hash("a@example.com", None, "<1@x>") != private_hash("a@example.com", None, "<2@x>")
    assert is_address_hash(mark)
    assert "example.com" not in mark


def test_short_names_do_not_blot_out_ordinary_words():
    assert scrub("550 to <to@example.com> no", ["to@example.com"]) == "550 to <‹address›> no"


def test_a_kept_draft_about_such_a_document_is_encrypted(
    quotation, seller, sign_in, server, settings, monkeypatch
):
    monkeypatch.setattr("modules.outbox.compose.actions.keeps_addresses_private", lambda _document: True)
    browser = sign_in(seller)
    form = changed(
        opened(browser, quotation), cc_typed=WALK_IN, subject="Kept", changed=["subject", "recipients"]
    )
    browser.post(f"/outbox/compose/{quotation.id}/keep", data=form)
    is_nowhere(settings, WALK_IN, "jeanne")
    assert opened(browser, quotation).getlist("cc") == [WALK_IN]
    (row,) = db.session.scalars(select(KeptDraft))
    assert autosave.contents_of(row)["subject"] == "Kept"


# -- asked for by another module -----------------------------------------------------------------------


def wanted(document, *addresses: str, private: bool = False) -> int:
    with transaction():
        answers = document_mail_wanted.send(
            document,
            addresses=tuple(Address(spec) for spec in addresses),
            by=None,
            private=private,
            keep_days=None,
        )
    return next(answer for _receiver, answer in answers if answer is not None)


def test_another_module_has_a_document_mailed_to_its_customer(quotation):
    mail = db.session.get_one(OutgoingMail, wanted(quotation))
    assert [row.addr_spec for row in mail.recipients] == ["client@example.com"]
    assert quotation.number in mail.subject
    assert not mail.private


def test_another_module_has_a_document_mailed_to_somebody_who_is_not_kept(quotation, settings):
    mail = db.session.get_one(OutgoingMail, wanted(quotation, WALK_IN, private=True))
    assert mail.private
    assert [(row.addr_spec, row.partner_id) for row in mail.recipients] == [(hash_in(mail, WALK_IN), None)]
    assert db.session.scalar(select(MailRecipient.encrypted_address)) is not None
    is_nowhere(settings, "jeanne")


def test_one_that_waits_for_a_server_is_given_up_and_erased_in_time(submitted, monkeypatch):
    later = clock.now() + dt.timedelta(days=8)
    monkeypatch.setattr(clock, "now", lambda: later)
    retention.apply(folders=[])
    db.session.expire_all()
    assert (submitted.state, submitted.recipients[0].encrypted_address) == (MailState.CANCELED, None)


@pytest.mark.smtp
@pytest.mark.usefixtures("server")
def test_the_exact_message_is_for_those_who_may_resend(submitted, lab, make_user, sign_in):
    deliver([submitted.id])
    support = sign_in(make_user("support"))
    assert WALK_IN in support.get(f"/outbox/mails/{submitted.id}/eml").text
    reader = make_user("salesperson", login="reader@maison.example.com")
    with transaction() as session:
        submitted.submitted_by_id = reader.id
        role = reader.roles[0]
        for grant in list(role.grants):
            if grant.permission == "outbox.mail.resend":
                session.delete(grant)
    browser = sign_in(reader)
    assert browser.get(f"/outbox/mails/{submitted.id}").status_code == 200
    assert "jeanne" not in browser.get(f"/outbox/mails/{submitted.id}?tab=recipients").text.lower()
    for part in ("eml", "head"):
        assert browser.get(f"/outbox/mails/{submitted.id}/{part}").status_code == 404
