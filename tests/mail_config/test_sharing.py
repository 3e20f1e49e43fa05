"""Templates travel as a file; what a file would do is told before, and a hostile one does nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app
from flask_babel import force_locale
from hypothesis import given, settings
from hypothesis import strategies as st

from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.files import FileStore, StoreFullError
from core.mail.draft import DraftAttachment, Priority, RecipientField
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.mail_config.mail_templates.import_export import Action, apply_plan, export_templates, read_export
from modules.mail_config.mail_templates.revisions import history
from modules.mail_config.mail_templates.service import RecipientChoice, delete_template
from modules.mail_config.mail_templates.snapshot import Contents, contents_of
from modules.mail_config.models import MailTemplate, RecipientRule

ROW: dict[str, Any] = {
    "kind": "sales.quotation",
    "name": "From a file",
    "texts": {"en": {"subject": "About {{ document.number }}", "body": "<p>x</p>"}},
}


def file_of(*rows: object, **changes: object) -> bytes:
    return json.dumps({"format": "envoi-mail-templates", "version": 1, "templates": rows, **changes}).encode()


def store() -> FileStore:
    found: FileStore = current_app.extensions["envoi_files"]
    return found


@pytest.fixture
def template(make_template: Callable[..., MailTemplate], company: Company, customer: Partner) -> MailTemplate:
    return make_template(
        "Ours",
        texts={
            "en": ("Your {{ document.title }}", "<p>Dear “{{ customer.name }}”</p>"),
            "fr": ("Votre {{ document.title }}", "<p>Cher {{ customer.name }} – été</p>"),
        },
        company_id=company.id,
        partner_id=customer.id,
        attachment_name="{{ document.number }}",
        reply_to="answers@maison.example.com",
        position=7,
        keep_days=30,
        priority=Priority.HIGH,
        delivery_receipt=True,
        active=True,
        recipients=[
            RecipientChoice(RecipientRule.BILLING),
            RecipientChoice(RecipientRule.FIXED, RecipientField.BCC, "Archive <archive@maison.example.com>"),
        ],
        files=[DraftAttachment("terms.pdf", "application/pdf", store().put(b"%PDF terms"), 10)],
    )


@pytest.mark.both_databases
def test_what_is_exported_comes_back_as_it_was(template: MailTemplate, salesperson: User) -> None:
    before = contents_of(template)
    written = export_templates([template])
    delete_template(template)
    store().remove(hashlib.sha256(b"%PDF terms").hexdigest())

    plan = read_export(written)
    assert [(entry.name, entry.kind, entry.action, entry.problems) for entry in plan.entries] == [
        ("Ours", "sales.quotation", Action.NEW, [])
    ]
    assert db.session.query(MailTemplate).filter_by(name="Ours").count() == 0
    (imported,) = apply_plan(plan, [plan.entries[0].key], salesperson)
    assert contents_of(imported) == before
    assert store().get(imported.files[0].sha256) == b"%PDF terms"
    assert history(imported)[0].by_user_id == salesperson.id
    assert export_templates([imported]) == written


@pytest.mark.both_databases
def test_one_of_the_same_name_kind_company_and_customer_is_replaced(
    template: MailTemplate, make_template: Callable[..., MailTemplate], company: Company, salesperson: User
) -> None:
    general = make_template("Ours")
    make_template("Ours", kind="sales.order")
    written = export_templates([template, general]).replace(b"Dear", b"Hello")
    plan = read_export(written)
    assert [(entry.action, entry.replaces_id) for entry in plan.entries] == [
        (Action.REPLACE, template.id),
        (Action.REPLACE, general.id),
    ]
    apply_plan(plan, ["0"], salesperson)
    db.session.expire_all()
    assert "Hello" in template.texts[0].body
    assert "Dear" in general.texts[0].body
    assert len(history(template)) == 2


def test_nothing_is_imported_that_was_not_chosen(app: Flask) -> None:
    plan = read_export(file_of(ROW, {**ROW, "name": "Another"}))
    assert [saved.name for saved in apply_plan(plan, ["1", "7"], None)] == ["Another"]
    assert apply_plan(plan, [], None) == []


def test_files_that_cannot_be_stored_keep_all_of_them_out(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {"name": "x.txt", "data": "eA==", "sha256": hashlib.sha256(b"x").hexdigest()}
    plan = read_export(file_of(ROW, {**ROW, "name": "With a file", "files": [file]}))

    def full(self: FileStore, data: bytes) -> str:
        raise StoreFullError("No space left.")

    monkeypatch.setattr(FileStore, "put", full)
    with force_locale("en"), pytest.raises(UserError, match="The files of “With a file” could not be stored"):
        apply_plan(plan, ["0", "1"], None)
    assert db.session.query(MailTemplate).filter_by(name="From a file").count() == 0


def test_who_every_mail_would_go_to_and_the_place_in_the_list_are_told(app: Flask) -> None:
    recipients = [
        {"rule": "fixed", "field": "bcc", "value": " Archive <archive@Maison.example.com>"},
        {"rule": "billing"},
        {"rule": "fixed", "value": "boss@maison.example.com"},
    ]
    with force_locale("fr"):
        (entry,) = read_export(file_of({**ROW, "position": 1, "recipients": recipients})).entries
        assert entry.fixed == [
            ("Cci", "Archive <archive@maison.example.com>"),
            ("À", "boss@maison.example.com"),
        ]
    assert (entry.action, entry.position) == (Action.NEW, 1)


def test_a_template_twice_in_a_file_is_imported_once(
    make_template: Callable[..., MailTemplate],
) -> None:
    make_template("From a file")
    plan = read_export(file_of(ROW, ROW))
    assert [entry.action for entry in plan.entries] == [Action.REPLACE, Action.SKIP]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"company": "Nowhere SA"}, "There is no company “Nowhere SA” here"),
        ({"customer": {"name": "Nobody", "email": ""}}, "There is no customer “Nobody” here"),
        ({"customer": "Nobody"}, "There is no customer"),
        ({"company": 5}, "There is no company"),
    ],
)
def test_what_was_for_somebody_unknown_does_not_become_everybodys(
    make_template: Callable[..., MailTemplate], changes: dict[str, object], words: str
) -> None:
    general = make_template("From a file")
    with force_locale("en"):
        plan = read_export(file_of({**ROW, **changes}))
    (entry,) = plan.entries
    assert (entry.action, entry.replaces_id) == (Action.NEW, None)
    assert words in entry.problems[0]
    (imported,) = apply_plan(plan, ["0"], None)
    assert imported.id != general.id
    assert not imported.active


def test_two_customers_of_one_name_are_not_guessed_between(app: Flask, company: Company) -> None:
    for email in ("a@x.example", "b@x.example"):
        save_partner(None, {"name": "Twin", "email": email})
    plan = read_export(file_of({**ROW, "customer": {"name": "Twin", "email": ""}}))
    assert plan.entries[0].problems
    plan = read_export(file_of({**ROW, "customer": {"name": "Twin", "email": "b@x.example"}}))
    assert plan.entries[0].problems == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "pos.coupon"}, "no kind of document “pos.coupon”"),
        ({"kind": None}, "“kind” is not a text"),
        ({"name": ""}, "It has no name."),
        ({"name": "x" * 121}, "“name” is not a text, or too long."),
        ({"name": "a\x00b"}, "cannot be stored"),
        ({"name": "a\ud800b"}, "cannot be stored"),
        ({"texts": {}}, "It has no text."),
        ({"texts": []}, "It has no text."),
        ({"texts": {"en": "x"}}, "It has no text."),
        ({"texts": {"xx": {"subject": "x", "body": ""}}}, "no language “xx”"),
        ({"texts": {"en": {"subject": "{{ document.nmber }}", "body": ""}}}, "document.nmber"),
        ({"texts": {"en": {"subject": "x", "body": "{% for x in y %}"}}}, "“for” may not be used"),
        ({"texts": {"en": {"subject": "", "body": ""}}}, "A subject is needed."),
        ({"texts": {"en": {"subject": "x", "body": "x" * 60_000}}}, "“body” is not a text, or too long."),
        ({"position": 10**30}, "“position” is not a number"),
        ({"position": True}, "“position” is not a number"),
        ({"position": None}, "“position” is not a number"),
        ({"keep_days": -1}, "“keep_days” is not a number"),
        ({"keep_days": 1.5}, "“keep_days” is not a number"),
        ({"active": "yes"}, "“active” is not true or false"),
        ({"priority": "urgent"}, "“priority” has a value that is not known"),
        ({"recipients": [{"rule": "everybody"}]}, "“recipients” has a value that is not known"),
        ({"recipients": {"rule": "main"}}, "“recipients” is not a list"),
        ({"recipients": ["main"]}, "“recipients” is not a list"),
        ({"reply_to": "nobody"}, "Answers to: “nobody” is not a valid email address: there is no @ in it."),
        ({"name": "\u2028"}, "It has no name."),
        ({"name": "\x01"}, "name: A name is needed."),
        (
            {"reply_to": "a@b.example\nBcc: c@d.example", "recipients": [{"rule": "fixed", "value": "x"}]},
            "Recipients: “x” is not a valid email address: there is no @ in it.",
        ),
        ({"recipients": [{"rule": "fixed"}]}, "Recipients: A fixed recipient needs an address."),
        ({"recipients": [{"rule": "function"}]}, "Recipients: Say which function the contacts have."),
        ({"recipients": [{"rule": "function", "value": "x" * 81}]}, "at most 80 characters"),
        ({"recipients": [{"rule": "main"}] * 31}, "at most 30 recipients"),
        ({"files": [{"name": "x", "data": "!!", "sha256": ""}]}, "The file “x” is damaged."),
        ({"files": [{"name": "x", "data": "eA==", "sha256": "0" * 64}]}, "The file “x” is damaged."),
        ({"files": [{"name": "x", "data": "é", "sha256": ""}]}, "The file “x” is damaged."),
        ({"files": [{"name": "x", "data": "", "sha256": ""}] * 21}, "too many files"),
    ],
)
def test_what_cannot_be_used_is_told_and_skipped_and_the_rest_is_not(
    app: Flask, changes: dict[str, object], words: str
) -> None:
    with force_locale("en"):
        plan = read_export(file_of({**ROW, **changes}, {**ROW, "name": "Good"}))
    bad, good = plan.entries
    assert bad.action is Action.SKIP
    assert words in " ".join(bad.problems)
    assert (good.action, good.problems) == (Action.NEW, [])
    assert [saved.name for saved in apply_plan(plan, ["0", "1"], None)] == ["Good"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b"PK\x03\x04",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        file_of(ROW, format="something else"),
        file_of(ROW, version=2),
        file_of(templates="x"),
        file_of(*[ROW] * 501),
        b"x" * 40_000_001,
        b'{"format": "envoi-mail-templates", "version": 1, "templates": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_file_of_templates_is_refused_in_a_sentence(app: Flask, data: bytes) -> None:
    with pytest.raises(UserError) as refusal:
        read_export(data)
    assert refusal.value.field == "file"


def test_entries_that_are_no_templates_are_skipped(app: Flask) -> None:
    plan = read_export(file_of(None, 5, "x", [], {}))
    assert {entry.action for entry in plan.entries} == {Action.SKIP}
    assert all(entry.problems for entry in plan.entries)


@pytest.mark.parametrize(
    ("name", "media_type", "cleaned"),
    [
        ("../../etc/passwd\u202egpj.exe", "text/plain", ("passwd_gpj.exe", "text/plain")),
        ("a.pdf", "Application/PDF ", ("a.pdf", "application/pdf")),
        ("a.pdf", "text/html\r\nX-Other: x", ("a.pdf", "application/pdf")),
        ("a\nb", "text/html; name=x", ("a_b", "application/octet-stream")),
        ("", "", ("file", "application/octet-stream")),
    ],
)
def test_names_and_types_of_files_are_made_safe(
    app: Flask, name: str, media_type: str, cleaned: tuple[str, str]
) -> None:
    data = {"name": name, "media_type": media_type, "data": "eA=="}
    row = {**ROW, "files": [{**data, "sha256": hashlib.sha256(b"x").hexdigest()}]}
    (imported,) = apply_plan(read_export(file_of(row)), ["0"], None)
    assert (imported.files[0].name, imported.files[0].media_type) == cleaned


def test_a_file_that_is_gone_cannot_be_exported(template: MailTemplate) -> None:
    store().remove(template.files[0].sha256)
    with pytest.raises(UserError, match="Ours"):
        export_templates([template])


def test_an_import_of_many_is_read(app: Flask) -> None:
    big = base64.b64encode(b"x" * 500_000).decode()
    sha256 = hashlib.sha256(b"x" * 500_000).hexdigest()
    rows = [
        {
            **ROW, "name": str(number), "texts": {"en": {"subject": "x", "body": "{{ document.total }}" * 50}},
            "files": [{"name": "x", "media_type": "text/plain", "data": big, "sha256": sha256}],
        }
        for number in range(40)
    ]  # fmt: skip
    plan = read_export(file_of(*rows))
    assert {entry.action for entry in plan.entries} == {Action.NEW}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["en", "sales.order"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


KEYS = st.sampled_from(sorted(Contents.__annotations__))


@settings(max_examples=150)
@given(KEYS, VALUES)
def test_no_value_breaks_the_reading(app: Flask, name: str, value: object) -> None:
    plan = read_export(file_of({**ROW, name: value}))
    assert len(plan.entries) == 1
    assert plan.entries[0].action is not Action.SKIP or plan.entries[0].problems


def test_an_inactive_customer_is_not_found(app: Flask, customer: Partner) -> None:
    with transaction():
        customer.active = False
    plan = read_export(file_of({**ROW, "customer": {"name": customer.name, "email": customer.email}}))
    assert plan.entries[0].problems
