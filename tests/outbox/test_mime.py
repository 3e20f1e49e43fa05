"""From rows, and from drafts, to the octets of a message."""

from __future__ import annotations

import hashlib

import pytest

from core import clock
from core.db import db
from core.files import FileMissingError
from core.mail.addresses import Address
from core.mail.draft import DraftAttachment, DraftRecipient, Priority, RecipientField
from core.mail.reader import read_message
from modules.outbox import message, service
from modules.outbox.delivery import lane
from modules.outbox.delivery import run as delivery
from modules.outbox.html_body import take_pictures
from modules.outbox.message import CommonFiles, build_message, file_store, unsent_message
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.mail_config.strict import read
from tests.outbox.conftest import draft, with_file
from tests.outbox.mails import become

PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"
SENDER = Address("sales@maison.example.com", "Maison Test")


def kept(name: str, media_type: str, data: bytes, content_id: str = "") -> DraftAttachment:
    return DraftAttachment(name, media_type, file_store().put(data), len(data), content_id)


def with_picture(made):
    """Put a picture into the text of a draft, as the editor does."""
    photo = kept("photo.png", "image/png", PNG)
    body = '<div>Look: <img src="/outbox/compose/file/MARK"></div>'
    made.body_html, files = take_pictures(body, lambda _mark: photo)
    made.attachments += files
    return made


def sent_as(mail: OutgoingMail) -> OutgoingMail:
    return become(mail, sender_address=SENDER.addr_spec, sender_name=SENDER.display_name)


def test_a_file_that_several_mails_have_is_read_once_and_their_messages_are_the_same_as_by_themselves(
    company, monkeypatch
):
    mails = []
    for number, data in enumerate([b"the brochure", b"the brochure", b"of one alone"]):
        made = draft(company, f"to{number}@example.com")
        made.attachments += [kept(f"file{number}.pdf", "application/pdf", data)]
        mails.append(sent_as(service.submit(made, None)))
    alone = [build_message(mail) for mail in mails]
    store, read_from_store = file_store(), []
    get = store.get

    def counted(sha256: str) -> bytes:
        read_from_store.append(sha256)
        return get(sha256)

    monkeypatch.setattr(store, "get", counted)
    files = CommonFiles()
    files.expect(mails)
    assert [build_message(mail, file_of=files.get) for mail in mails * 2] == alone * 2
    brochure, own = mails[0].attachments[0].sha256, mails[2].attachments[0].sha256
    assert sorted(read_from_store) == sorted([brochure, own, own])


def test_of_files_that_several_mails_have_no_more_is_kept_than_a_bound(company, monkeypatch):
    made = draft(company, "to@example.com", "too@example.com")
    made.attachments += [kept("large.pdf", "application/pdf", bytes(3000))]
    mail = sent_as(service.submit(made, None))
    alone = build_message(mail)
    monkeypatch.setattr(message, "MOST_COMMON_OCTETS", 2000)
    files = CommonFiles()
    files.expect([mail, mail])
    assert build_message(mail, file_of=files.get) == alone
    assert not files._kept


def test_a_mail_with_everything_is_well_formed_and_the_same_each_time(company):
    made = with_file(with_picture(draft(company, "Zoë <zoe@example.com>", "bob@example.com")))
    made.priority, made.read_receipt, made.delivery_receipt = Priority.HIGH, True, True
    made.reply_to = Address("ann@maison.example.com", "Änn")
    mail = sent_as(service.submit(made, None))
    data = build_message(mail)
    assert data == build_message(mail)
    part = read(data)
    assert part.shape() == (
        "multipart/mixed",
        [
            ("multipart/alternative", ["text/plain", ("multipart/related", ["text/html", "image/png"])]),
            "text/plain",
        ],
    )
    assert part.fields["x-priority"] == b"1"
    assert part.fields["disposition-notification-to"].endswith(b"<ann@maison.example.com>")
    found = read_message(data)
    assert found.priority is Priority.HIGH
    assert [address.addr_spec for address in found.read_receipt_to] == ["ann@maison.example.com"]
    assert "data:image/png;base64," in found.html
    assert found.text == "Look: [photo.png]\n"
    assert [file.name for file in found.files] == ["note.txt"]


def test_without_reply_to_the_read_receipt_goes_to_the_sender(company):
    mail = sent_as(service.submit(draft(company, "a@example.com", read_receipt=True), None))
    assert (
        read(build_message(mail))
        .fields["disposition-notification-to"]
        .endswith(b"<sales@maison.example.com>")
    )


def test_without_wishes_nothing_is_asked_for(company):
    part = read(build_message(sent_as(service.submit(draft(company, "a@example.com"), None))))
    assert not {"x-priority", "importance", "priority", "disposition-notification-to"} & part.fields.keys()
    assert "multipart/related" not in {inner.media_type for inner in part.walk()}


@pytest.mark.smtp
def test_the_pdf_that_was_shown_is_the_one_that_leaves(lab, server, company, monkeypatch):
    monkeypatch.setattr(lane, "render_pdf", lambda _mail, _position: pytest.fail("It was made already."))
    data = b"%PDF-1.4 as it was shown"
    made = draft(
        company, "a@example.com", pdf_name="S0001.pdf", pdf=kept("S0001.pdf", "application/pdf", data)
    )
    mail = service.submit(made, None)
    (row,) = mail.attachments
    assert (row.generated, row.sha256, row.size) == (True, hashlib.sha256(data).hexdigest(), len(data))
    delivery.deliver([mail.id])
    db.session.expire_all()
    assert mail.state is MailState.SENT
    (file,) = read_message(lab.accepted[0].data).files
    assert (file.name, file.data) == ("S0001.pdf", data)


@pytest.mark.smtp
def test_every_attempt_has_the_same_octets(lab, server, company):
    made = with_picture(draft(company, "a@example.com", "later+b@example.com"))
    made.delivery_receipt, made.priority = True, Priority.LOW
    mail = service.submit(made, None)
    delivery.deliver([mail.id])
    lab.scripted = False
    service.retry_now([mail.id])
    delivery.deliver([mail.id])
    first, second = lab.accepted
    assert first.data == second.data
    assert (list(first.recipients), list(second.recipients)) == (["a@example.com"], ["later+b@example.com"])


# -- a draft for the person's own mail program -----------------------------------------------------------


def unsent(made, pdf=None):
    data = unsent_message(made, SENDER, made.reply_to, pdf)
    return read(data), read_message(data)


def test_an_unsent_message_holds_everything(company):
    made = with_file(with_picture(draft(company, "Ann <ann@example.com>")), "plan é.txt")
    made.recipients += [
        DraftRecipient(Address("carl@example.com", "Carl"), RecipientField.CC),
        DraftRecipient(Address("ben@example.com"), RecipientField.BCC),
    ]
    made.reply_to = Address("ann@maison.example.com")
    made.priority, made.read_receipt, made.pdf_name = Priority.HIGH, True, "S0001.pdf"
    part, found = unsent(made, b"%PDF-1.4")
    assert part.fields["x-unsent"] == b"1"
    assert "message-id" not in part.fields
    assert part.fields["bcc"] == b"ben@example.com"
    assert [address.addr_spec for address in found.to + found.cc] == ["ann@example.com", "carl@example.com"]
    assert found.header_from == (SENDER,)
    assert found.reply_to == found.read_receipt_to == (Address("ann@maison.example.com"),)
    assert found.priority is Priority.HIGH
    assert [(file.name, file.data) for file in found.files] == [
        ("S0001.pdf", b"%PDF-1.4"),
        ("plan é.txt", b"some bytes"),
    ]
    assert "data:image/png;base64," in found.html
    assert found.date is not None
    assert abs((clock.now() - found.date).total_seconds()) < 60


def test_the_pdf_of_the_draft_goes_with_it(company):
    made = draft(company, "a@example.com", pdf=kept("S1.pdf", "application/pdf", b"%PDF"), pdf_name="S1.pdf")
    assert [file.data for file in unsent(made)[1].files] == [b"%PDF"]
    assert unsent(draft(company, "a@example.com"))[1].files == ()


def test_with_everybody_in_bcc_there_is_no_to(company):
    made = draft(company)
    made.recipients = [DraftRecipient(Address("ben@example.com"), RecipientField.BCC)]
    assert "to" not in unsent(made)[0].fields


def test_a_draft_without_anybody_can_be_taken_over_all_the_same(company):
    assert "to" not in unsent(draft(company))[0].fields


def test_hostile_html_is_clean_there_too(company):
    made = draft(company, "a@example.com", body_html="<script>x</script><p onclick=x>Hi</p>")
    assert "script" not in unsent(made)[1].html


def test_a_file_that_is_gone_is_told(company):
    made = draft(company, "a@example.com")
    made.attachments.append(DraftAttachment("a.txt", "text/plain", "0" * 64, 1))
    with pytest.raises(FileMissingError):
        unsent(made)
