"""What somebody is writing is kept, and colleagues know of each other."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.documents.models import Document
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate, TemplateFile
from modules.outbox import service
from modules.outbox.compose import autosave
from modules.outbox.message import file_store
from modules.outbox.models import DraftFile, KeptDraft, OutgoingMail
from modules.outbox.privacy import retention
from modules.outbox.privacy.person import erase
from modules.outbox.service import release_due
from modules.outbox.states import MailState
from tests.outbox.conftest import draft
from tests.outbox.mails import refused
from tests.outbox.pages import changed, composer_of, opened, press_send


@pytest.fixture
def browser(seller, sign_in, server):
    return sign_in(seller)


def path(document: Document, part: str = "") -> str:
    return f"/outbox/compose/{document.id}{part}"


def rows() -> list[KeptDraft]:
    return list(db.session.scalars(select(KeptDraft).execution_options(populate_existing=True)))


def upload(browser, data: bytes = b"hello", name: str = "plan.txt", **more: str) -> dict[str, str]:
    response = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(data), name), **more})
    assert response.status_code == 200, response.text
    return response.get_json()


def test_what_was_written_is_there_again_when_the_composer_opens(browser, quotation):
    token = upload(browser)["token"]
    form = changed(
        opened(browser, quotation),
        subject="My subject",
        body="<div>My own words</div>",
        changed=["subject", "body"],
        cc=["Zoe <zoe@example.com>"],
        to=[],
        left_out=["Client SA <client@example.com>"],
        bcc_typed="half an addr",
        file=[token],
        priority="high",
        read_receipt="1",
    )
    assert browser.post(path(quotation, "/keep"), data=form).status_code == 200
    again = opened(browser, quotation)
    for name in ("subject", "body", "cc", "to", "left_out", "bcc_typed", "file", "priority", "read_receipt"):
        assert again.getlist(name) == form.getlist(name), name
    assert again["token"] != form["token"], "each opening sends by itself"
    browser.post(path(quotation, "/keep"), data=changed(again, subject="Later"))
    assert opened(browser, quotation)["subject"] == "Later", "a second opening goes on with the same letter"


def test_what_was_begun_is_shown_on_its_document_to_whoever_has_begun_it(
    browser, quotation, make_user, sign_in
):
    words = "You have begun an email and not sent it."
    page = f"/sales/orders/{quotation.id}"
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    assert words not in browser.get(page).text
    browser.post(path(quotation, "/keep"), data=form)
    assert words in browser.get(page).text
    assert words not in sign_in(make_user(login="other@maison.example.com")).get(page).text
    press_send(browser, quotation, form)
    assert words not in browser.get(page).text


def test_starting_anew_forgets_what_was_kept(browser, quotation):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    assert opened(browser, quotation)["subject"] == "Mine"
    assert opened(browser, quotation, fresh=1)["subject"] != "Mine"
    browser.post(path(quotation, "/discard"))
    assert rows() == []
    assert opened(browser, quotation)["subject"] != "Mine"


def test_an_untouched_composer_leaves_no_draft_only_the_presence(browser, quotation):
    assert browser.post(path(quotation, "/keep"), data=opened(browser, quotation)).status_code == 200
    (row,) = rows()
    assert row.contents == ""
    assert autosave.kept_draft(autosave.About(quotation.id), row.user) is None


def test_an_untouched_second_window_takes_nothing_from_the_first(browser, quotation):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    other = opened(browser, quotation, fresh=1)
    browser.post(path(quotation, "/keep"), data=other)
    assert opened(browser, quotation)["subject"] == "Mine"


def test_another_letter_never_replaces_the_one_that_is_kept(browser, quotation, company, seller):
    fresh = opened(browser, quotation)
    form = changed(opened(browser, quotation), subject="Long work", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    answer = browser.post(path(quotation, "/keep"), data=changed(fresh, subject="Other", changed=["subject"]))
    assert "Another email of yours is kept here already" in answer.text
    assert opened(browser, quotation)["subject"] == "Long work"
    anew = changed(opened(browser, quotation, fresh=1), subject="Begun anew", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=anew)
    assert opened(browser, quotation)["subject"] == "Begun anew"


def test_what_the_browser_keeps_too_late_does_not_bring_a_sent_letter_back(browser, quotation):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    assert press_send(browser, quotation, form).status_code == 302
    browser.post(path(quotation, "/keep"), data=form)
    assert opened(browser, quotation)["subject"] != "Mine"
    other = changed(opened(browser, quotation), subject="Next", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=other)
    assert opened(browser, quotation)["subject"] == "Next"


def test_two_who_write_about_one_document_see_each_other_until_one_leaves(
    browser, quotation, make_user, sign_in, monkeypatch
):
    oliver = sign_in(make_user(login="oliver@maison.example.com", name="Oliver"))
    browser.post(path(quotation, "/keep"), data=opened(browser, quotation))
    answer = oliver.post(path(quotation, "/keep"), data=opened(oliver, quotation))
    assert "is writing about this document too" in answer.text
    assert "Oliver" in browser.post(path(quotation, "/keep"), data=opened(browser, quotation)).text
    later = clock.now() + dt.timedelta(minutes=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert "Oliver" not in browser.post(path(quotation, "/keep"), data=opened(browser, quotation)).text


def test_files_of_a_draft_are_held_in_the_store_as_long_as_it_is_kept(browser, quotation):
    token = upload(browser)["token"]
    form = changed(opened(browser, quotation), file=[token], changed=["files"])
    browser.post(path(quotation, "/keep"), data=form)
    assert len(list(db.session.scalars(select(DraftFile.sha256)))) == 1
    browser.post(path(quotation, "/keep"), data=changed(form, file=[], subject="x", changed=["subject"]))
    assert list(db.session.scalars(select(DraftFile.sha256))) == []


def test_who_is_signed_out_is_told_and_nothing_is_kept(app, quotation):
    stranger = app.test_client()
    response = stranger.post(path(quotation, "/keep"), data={"subject": "x"}, headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert rows() == []


def test_a_text_without_end_is_told_and_the_former_draft_stays(browser, quotation):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    huge = changed(form, body="x" * 3_000_001)
    assert "too long to be kept" in browser.post(path(quotation, "/keep"), data=huge).text
    assert opened(browser, quotation)["subject"] == "Mine"


def test_a_mail_that_was_sent_is_no_draft_any_more(browser, quotation):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    assert press_send(browser, quotation, form).status_code == 302
    assert opened(browser, quotation)["subject"] != "Mine"


@pytest.mark.parametrize(
    ("hours", "send", "kept"), [(0.5, True, 1), (2, True, 0), (2, False, 1), (24 * 31, False, 0)]
)
def test_drafts_go_soon_after_their_mail_has_left_or_when_nobody_comes_back(
    browser, quotation, monkeypatch, hours, send, kept
):
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    if send:
        assert press_send(browser, quotation, form).status_code == 302
    later = clock.now() + dt.timedelta(hours=hours)
    monkeypatch.setattr(clock, "now", lambda: later)
    retention.apply(folders=[])
    assert len(rows()) == kept


def test_a_draft_with_an_address_that_is_erased_goes_with_it(browser, quotation):
    form = changed(
        opened(browser, quotation), cc_typed="Zoë@example.com", to=["x@example.com"], changed=["recipients"]
    )
    browser.post(path(quotation, "/keep"), data=form)
    erase("other@example.com", None)
    assert len(rows()) == 1
    erase("zoë@example.com", None)
    assert rows() == []


def test_a_letter_made_of_an_old_mail_leaves_the_kept_one_alone(browser, quotation, company, seller):
    old = refused(service.submit(draft(company, "one@example.com", document=quotation), seller))
    mine = changed(opened(browser, quotation), subject="Long work", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=mine)
    copy = composer_of(browser.get(f"/outbox/compose/again/{old.id}").text)
    browser.post(path(quotation, "/discard"), data={"token": copy["token"]})
    assert opened(browser, quotation)["subject"] == "Long work"
    assert press_send(browser, quotation, copy).status_code == 302
    assert opened(browser, quotation)["subject"] == "Long work"
    browser.post(path(quotation, "/discard"), data={"token": opened(browser, quotation)["token"]})
    assert rows() == []


def test_two_windows_with_one_letter_do_not_overwrite_each_other_unseen(browser, quotation):
    browser.post(
        path(quotation, "/keep"), data=changed(opened(browser, quotation), subject="One", changed=["subject"])
    )
    first, second = opened(browser, quotation), opened(browser, quotation)
    assert (
        "data-not-kept"
        not in browser.post(path(quotation, "/keep"), data=changed(second, subject="Two")).text
    )
    answer = browser.post(path(quotation, "/keep"), data=changed(first, subject="Three"))
    assert "in another window" in answer.text
    assert "data-not-kept" in answer.text
    assert opened(browser, quotation)["subject"] == "Two"
    assert (
        "data-not-kept"
        not in browser.post(path(quotation, "/keep"), data=changed(second, subject="Four")).text
    )


# -- undo ----------------------------------------------------------------------------------------------


def the_mail() -> OutgoingMail:
    return db.session.scalars(select(OutgoingMail).execution_options(populate_existing=True)).one()


@pytest.fixture
def undoable(app):
    app.config["OUTBOX_UNDO_SECONDS"] = 10.0


@pytest.mark.usefixtures("undoable")
def test_send_waits_some_seconds_and_can_be_undone_with_everything_in_place(browser, quotation):
    token = upload(browser)["token"]
    form = changed(opened(browser, quotation), subject="Mine", changed=["subject"], file=[token])
    response = browser.post(path(quotation), data=form, follow_redirects=True)
    assert "data-undo" in response.text
    mail = the_mail()
    assert mail.state is MailState.SCHEDULED
    assert 9 <= (mail.not_before - mail.submitted_at).total_seconds() <= 10
    response = browser.post(f"/outbox/mails/{mail.id}/undo", follow_redirects=True)
    assert the_mail().state is MailState.CANCELED
    again = composer_of(response.text)
    assert (again["subject"], again.getlist("file")) == ("Mine", [token])
    assert again["token"] != form["token"], "what is sent now is another mail"
    assert press_send(browser, quotation, again).status_code == 302
    states = db.session.scalars(select(OutgoingMail.state).order_by(OutgoingMail.id))
    assert list(states) == [MailState.CANCELED, MailState.SCHEDULED]


@pytest.mark.usefixtures("undoable")
def test_what_was_typed_last_is_there_after_undo_though_it_was_never_kept(browser, quotation):
    form = changed(opened(browser, quotation), subject="Never kept", changed=["subject"])
    browser.post(path(quotation), data=form)
    again = composer_of(browser.post(f"/outbox/mails/{the_mail().id}/undo", follow_redirects=True).text)
    assert again["subject"] == "Never kept"


@pytest.mark.usefixtures("undoable")
def test_the_same_page_sent_again_after_undo_really_sends(browser, quotation):
    form = opened(browser, quotation)
    browser.post(path(quotation), data=form)
    browser.post(f"/outbox/mails/{the_mail().id}/undo")
    assert press_send(browser, quotation, form).status_code == 302
    assert press_send(browser, quotation, form).status_code == 302, "twice, and once"
    states = list(db.session.scalars(select(OutgoingMail.state).order_by(OutgoingMail.id)))
    assert states == [MailState.CANCELED, MailState.SCHEDULED]


@pytest.mark.usefixtures("undoable")
def test_undo_opens_what_was_sent_though_something_else_is_kept_or_nothing(browser, quotation):
    form = changed(opened(browser, quotation), subject="Sent", changed=["subject"])
    browser.post(path(quotation), data=form)
    other = changed(opened(browser, quotation), subject="Other", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=other)
    again = browser.post(f"/outbox/mails/{the_mail().id}/undo", follow_redirects=True)
    assert composer_of(again.text)["subject"] == "Sent"
    browser.post(path(quotation, "/discard"))
    assert opened(browser, quotation)["subject"] not in {"Sent", "Other"}


@pytest.mark.usefixtures("undoable")
def test_a_file_posted_with_the_form_itself_comes_back_with_undo(browser, quotation):
    form = opened(browser, quotation)
    data = {**form.to_dict(flat=False), "files": (io.BytesIO(b"plain"), "plain.txt")}
    assert browser.post(path(quotation), data=data).status_code == 302
    again = composer_of(browser.post(f"/outbox/mails/{the_mail().id}/undo", follow_redirects=True).text)
    assert len(again.getlist("file")) == 1


def test_two_windows_of_one_draft_send_two_letters(browser, quotation):
    form = changed(opened(browser, quotation), subject="One", changed=["subject"])
    browser.post(path(quotation, "/keep"), data=form)
    first, second = opened(browser, quotation), opened(browser, quotation)
    assert press_send(browser, quotation, first).status_code == 302
    second = changed(second, subject="Two", to=["other@example.com"])
    assert press_send(browser, quotation, second).status_code == 302
    subjects = list(db.session.scalars(select(OutgoingMail.subject).order_by(OutgoingMail.id)))
    assert subjects == ["One", "Two"]


@pytest.mark.usefixtures("undoable")
def test_too_late_is_said(browser, quotation):
    browser.post(path(quotation), data=opened(browser, quotation))
    with transaction():
        the_mail().not_before = the_mail().next_attempt_at = clock.now()
    assert release_due([the_mail().id]) == [the_mail().id]
    response = browser.post(f"/outbox/mails/{the_mail().id}/undo", follow_redirects=True)
    assert "Too late" in response.text
    assert the_mail().state is MailState.QUEUED


@pytest.mark.usefixtures("undoable")
def test_a_mail_that_is_not_due_is_not_released(browser, quotation):
    browser.post(path(quotation), data=opened(browser, quotation))
    assert release_due([the_mail().id]) == []
    assert the_mail().state is MailState.SCHEDULED


@pytest.mark.usefixtures("undoable")
def test_nobody_undoes_the_mail_of_another(browser, quotation, make_user, sign_in):
    browser.post(path(quotation), data=opened(browser, quotation))
    support = sign_in(make_user("support", login="support@maison.example.com"))
    assert support.post(f"/outbox/mails/{the_mail().id}/undo").status_code == 404
    assert the_mail().state is MailState.SCHEDULED


# -- whatever is on the screen is what is kept -----------------------------------------------------------


@pytest.fixture
def other_template(app):
    return save_template(
        None,
        kind="sales.quotation",
        values={"name": "Shorter", "position": 99},
        texts={"en": ("Shorter", "<div>Short</div>"), "fr": ("Bref", "<div>Bref</div>")},
    )


def take_template(browser, quotation, form, template, *, keep_mine: bool):
    values = {**form.to_dict(flat=False), "template": str(template.id), "keep_mine": str(int(keep_mine))}
    return composer_of(browser.post(path(quotation, "/template"), data=values).text)


@pytest.mark.parametrize("reopened", [False, True])
def test_the_text_of_another_template_takes_the_place_of_what_was_written(
    browser, quotation, other_template, reopened
):
    form = changed(opened(browser, quotation), subject="Old", body="<div>Old words</div>", changed=["body"])
    browser.post(path(quotation, "/keep"), data=form)
    form = opened(browser, quotation) if reopened else form
    form = take_template(browser, quotation, form, other_template, keep_mine=False)
    assert form["body"] != "<div>Old words</div>"
    browser.post(path(quotation, "/keep"), data=form)
    again = opened(browser, quotation)
    assert (again["subject"], again["body"]) == (form["subject"], form["body"])
    assert again["template"] == str(other_template.id)


def test_another_template_alone_is_kept(browser, quotation, other_template):
    form = take_template(browser, quotation, opened(browser, quotation), other_template, keep_mine=False)
    browser.post(path(quotation, "/keep"), data=form)
    again = opened(browser, quotation)
    assert (again["template"], again["subject"]) == (str(other_template.id), form["subject"])


def test_back_to_the_first_template_is_kept_as_well(browser, quotation, other_template):
    first = opened(browser, quotation)
    form = take_template(browser, quotation, first, other_template, keep_mine=False)
    browser.post(path(quotation, "/keep"), data=form)
    usual = db.session.get_one(MailTemplate, int(first["template"]))
    form = take_template(browser, quotation, opened(browser, quotation), usual, keep_mine=False)
    browser.post(path(quotation, "/keep"), data=form)
    again = opened(browser, quotation)
    assert (again["template"], again["subject"]) == (first["template"], first["subject"])


def test_what_another_template_leaves_in_place_is_kept_with_it(browser, quotation, other_template):
    form = changed(
        opened(browser, quotation),
        subject="Mine",
        cc=["zoe@example.com"],
        file=[upload(browser)["token"]],
        changed=["subject", "recipients", "files"],
    )
    form = take_template(browser, quotation, form, other_template, keep_mine=True)
    assert sorted(form.getlist("changed")) == ["files", "recipients", "subject", "template"]
    browser.post(path(quotation, "/keep"), data=form)
    again = opened(browser, quotation)
    assert (again["subject"], again["cc"], len(again.getlist("file"))) == ("Mine", "zoe@example.com", 1)


@pytest.mark.parametrize(
    ("added", "taken_back", "what"),
    [
        ({"cc": ["zoe@example.com"]}, {"cc": []}, "recipients"),
        ({"cc_typed": "half an addr"}, {"cc_typed": ""}, "recipients"),
        ({"send_at": "2090-01-01T08:00"}, {"send_at": ""}, "time"),
        ({"file": None}, {"file": []}, "files"),
    ],
)
def test_what_was_taken_back_after_opening_again_does_not_return(browser, quotation, added, taken_back, what):
    if "file" in added:
        added = {"file": [upload(browser)["token"]]}
    form = changed(opened(browser, quotation), **added, changed=[what])
    browser.post(path(quotation, "/keep"), data=form)
    (name, _value), *_rest = added.items()
    again = opened(browser, quotation)
    assert again.getlist(name) == form.getlist(name)
    browser.post(path(quotation, "/keep"), data=changed(again, **taken_back))
    assert opened(browser, quotation).getlist(name) == changed(form, **taken_back).getlist(name)


def test_a_file_of_the_template_that_was_taken_off_stays_off(browser, quotation):
    with transaction() as session:
        sha256 = file_store().put(b"terms")
        for template in session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.quotation")):
            template.files = [TemplateFile(name="terms.txt", media_type="text/plain", size=5, sha256=sha256)]
    form = opened(browser, quotation)
    assert len(form.getlist("file")) == 1
    browser.post(path(quotation, "/keep"), data=changed(form, file=[], changed=["files"]))
    assert opened(browser, quotation).getlist("file") == []
