"""Two rows of one customer become one: what names the one goes to the other, and its address leads there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import Base, db, end_reading, transaction
from core.documents.models import Document
from core.documents.service import create_document
from core.errors import UserError
from core.followers.models import Follower, FollowReason
from core.partners.duplicates import duplicates
from core.partners.history import PartnerChange, last_changes
from core.partners.labels import LabelKind, save_label
from core.partners.match_key import match_key
from core.partners.merging import STAY, merge
from core.partners.models import MailConsent, Partner
from core.partners.references import foreign_keys, is_named
from core.partners.service import save_contact, save_partner
from modules.mail_config.mail_templates.service import save_template
from tests.at_once import WAIT_SECONDS

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]


@pytest.fixture
def seller(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


def document_of(customer: Partner, company: Company, owner: User) -> Document:
    return create_document(
        "sales.quotation",
        company_id=company.id,
        partner_id=customer.id,
        owner=owner,
        language="fr",
        currency="EUR",
    )


@pytest.fixture
def pair(company: Company, seller: User, make_user: MakeUser) -> tuple[Partner, Partner]:
    """A customer that is there twice; something in every table names the second."""
    tags = [save_label(None, LabelKind.TAG, {"name": name}).id for name in ("VIP", "Salon")]
    kept = save_partner(None, {"name": "Dupont", "city": "Lyon", "label_ids": tags[:1]})
    merged = save_partner(
        None, {"name": "DUPONT SARL", "city": "lyon", "phone": "1", "vat": "FR40303265045", "label_ids": tags}
    )
    save_contact(kept, "Anna", "anna@example.com", is_main=True)
    contact = save_contact(merged, "Bob", "bob@example.com", is_main=True)
    save_partner(merged, {"email": "new@example.com"})
    former = save_partner(None, {"name": "Dupont père"})
    merge(merged.id, former.id, seller)
    save_template(
        None, kind="sales.quotation", values={"name": "T", "partner_id": merged.id},
        texts={"en": ("x", "<p>x</p>")}, by=make_user("administrator"),
    )  # fmt: skip
    with transaction() as session:
        both = document_of(merged, company, seller)
        session.add(Follower(document_id=both.id, partner_id=kept.id, reason=FollowReason.CUSTOMER))
        other = document_of(kept, company, seller)
        session.add(Follower(document_id=other.id, partner_id=contact.id, reason=FollowReason.CUSTOMER))
    return kept, merged


@pytest.mark.both_databases
def test_whatever_names_the_one_names_the_other_afterwards(
    pair: tuple[Partner, Partner], seller: User, company: Company
) -> None:
    kept, merged = pair
    assert len(company.name) > 0
    revisions = dict(db.session.execute(select(Document.id, Document.revision)).all())
    before = kept.id, merged.id
    assert merge(*before, seller) is kept
    for column in foreign_keys():
        name = str(column.table)
        if name not in STAY and column.name != "merged_into_id":
            left = select(column).where(column == before[1]).limit(1)
            assert db.session.scalar(left) is None, name
    assert not is_named(merged)
    assert (merged.active, merged.merged_into_id) == (False, kept.id)
    chain = select(Partner.merged_into_id).where(Partner.name == "Dupont père")
    assert db.session.scalars(chain).all() == [kept.id], "a pointer to a pointer would lead nowhere one day"
    assert (kept.phone, kept.vat, kept.email, kept.city) == ("1", "FR40303265045", "new@example.com", "Lyon")
    assert sorted(label.name for label in kept.labels) == ["Salon", "VIP"]
    assert sorted((contact.name, contact.is_main) for contact in kept.contacts) == [
        ("Anna", True),
        ("Bob", False),
    ]
    assert dict(db.session.execute(select(Document.id, Document.revision)).all()) == revisions, (
        "mails can still go"
    )
    followers = db.session.scalars(select(Follower.document_id).where(Follower.partner_id == kept.id)).all()
    assert len(followers) == len(set(followers)) == 2
    (change, _former) = (change for change in last_changes(kept) if change.kind == "merge")
    assert (change.before, change.by_user) == ("DUPONT SARL, new@example.com, lyon", seller)


def test_every_table_that_names_a_customer_is_known_to_the_merge() -> None:
    """A new one has to say here what becomes of its rows: moved as they are, or united by a rule."""
    assert {f"{column.table}.{column.name}" for column in foreign_keys()} >= {
        "core_document.partner_id", "core_follower.partner_id", "core_partner.parent_id",
        "core_partner.merged_into_id", "core_partner_change.partner_id", "core_partner_import_row.partner_id",
        "core_partner_labeled.partner_id", "mail_config_template.partner_id", "outbox_recipient.partner_id",
    }  # fmt: skip
    loose = [
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith(("partner_id", "customer_id")) and not column.foreign_keys
    ]
    assert loose == [], "an id of a customer that no foreign key leads from would be left behind"


def test_the_stricter_consent_holds(company: Company, seller: User) -> None:
    kept = save_partner(None, {"name": "A", "consent": "promotional", "consent_source": "fair"})
    out = save_partner(None, {"name": "B", "consent": "none", "consent_source": "telephone"})
    merge(kept.id, out.id, seller)
    assert (kept.consent, kept.consent_source) == (MailConsent.NONE, "telephone")
    never, told = (
        save_partner(None, {"name": "C"}),
        save_partner(None, {"name": "D", "consent": "promotional", "consent_source": "fair"}),
    )
    merge(never.id, told.id, seller)
    assert never.consent is MailConsent.PROMOTIONAL
    assert company is not None


def test_who_cannot_be_merged(company: Company, seller: User, make_user: MakeUser) -> None:
    others = save_company(None, {"name": "Others"})
    mine, twin = (save_partner(None, {"name": name}) for name in ("Mine", "Twin"))
    ours = save_partner(None, {"name": "Ours", "company_id": company.id})
    theirs = save_partner(None, {"name": "Theirs", "company_id": others.id})
    private = save_partner(None, {"name": "Private", "owner_id": make_user("administrator").id})
    contact = save_contact(mine, "Anna", "anna@example.com")
    for one, other in (
        (mine, mine), (mine, contact), (contact, twin), (mine, ours), (ours, mine), (mine, theirs), (theirs, mine),
        (private, mine), (mine, private),
    ):  # fmt: skip
        with pytest.raises(UserError):
            merge(one.id, other.id, seller)
    merge(mine.id, twin.id, seller)
    for one, other in ((mine, twin), (twin, mine)):
        with pytest.raises(UserError, match="meanwhile"):
            merge(one.id, other.id, seller)
    bob = save_contact(mine, "Bob", "bob@example.com")
    merge(contact.id, bob.id, seller)
    assert bob.merged_into_id == contact.id


@pytest.mark.both_databases
def test_of_two_who_merge_the_same_at_once_one_is_told(app: Flask, company: Company, seller: User) -> None:
    one, other = (save_partner(None, {"name": name}).id for name in ("One", "Other"))
    user_id, said = seller.id, []
    db.session.remove()
    gate = threading.Barrier(2)

    def run(kept: int, merged: int) -> None:
        with app.app_context():
            user = db.session.get_one(User, user_id)
            gate.wait(WAIT_SECONDS)
            try:
                merge(kept, merged, user)
                said.append("merged")
            except UserError:
                said.append("told")

    threads = [threading.Thread(target=run, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert sorted(said) == ["merged", "told"]
    assert len(db.session.scalars(select(Partner).where(Partner.merged_into_id.is_not(None))).all()) == 1
    assert len(db.session.scalars(select(PartnerChange).where(PartnerChange.kind == "merge")).all()) == 1
    assert company is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Dupont & Fils", "Lyon"), ("DUPONT ET FILS SARL", "LYON")),
        (("S.A.R.L. Lefèvre", "Saint-Étienne"), ("Lefevre sarl", "Saint Etienne")),
        (("Kestrel Engineering Ltd.", "Leeds"), ("Engineering Kestrel", "leeds")),
        (("The Copper Kettle", ""), ("Copper Kettle", "")),
    ],
)
def test_a_name_is_the_same_however_it_was_typed(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert match_key(*one) == match_key(*other)
    assert match_key(one[0], "Elsewhere") != match_key(*other)
    assert match_key("SARL", "") == "sarl|"
    assert match_key("&", "Lyon") == ""


def test_duplicates_are_looked_up_in_indexes(seller: User) -> None:
    save_partner(None, {"name": "Dupont", "city": "Lyon", "email": "a@example.com"})
    asked: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        asked.append((given[2], given[3]))

    end_reading()
    event.listen(db.engine, "before_cursor_execute", note)
    try:
        duplicates(seller)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    grouping = [(statement, values) for statement, values in asked if "GROUP BY" in statement]
    assert len(grouping) == 4
    with db.engine.connect() as connection:
        for statement, values in grouping:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            assert "SCAN core_partner" not in [str(row[3]) for row in rows], statement


@pytest.mark.both_databases
def test_duplicates_are_found_and_merged_by_their_page(
    company: Company, seller: User, sign_in: SignIn, make_user: MakeUser
) -> None:
    one = save_partner(
        None, {"name": "Dupont", "city": "Lyon", "email": "A@example.com", "vat": "FR40303265045"}
    )
    two = save_partner(None, {"name": "Other", "email": "a@example.com", "vat": "FR40303265045"})
    save_partner(None, {"name": "Third", "vat": "FR44732829320"})
    four = save_partner(None, {"name": "Fourth", "vat": "FR44732829320"})
    with transaction():
        four.vat = "fr 44 732.829-320"  # as rows are that are older than the rule of their country
    save_partner(None, {"name": "DUPONT SARL", "city": "lyon"})
    save_partner(None, {"name": "Dupont", "city": "Lyon", "company_id": company.id})
    save_partner(None, {"name": "Away", "email": "a@example.com", "active": False})
    found = {str(group.reason): [row.name for row in group.rows] for group in duplicates(seller)}
    assert found == {
        "The same email address": ["Dupont", "Other"],
        "The same VAT number": ["Third", "Fourth"],
        "The same name and city": ["Dupont", "DUPONT SARL"],
    }  # fmt: skip
    client = sign_in(seller)
    page = client.get("/partners/duplicates").text
    link = f"/partners/{one.id}/merge?other_id={two.id}"
    assert link in page
    compared = client.get(link).text
    assert "Goes into it" in compared
    assert client.post(f"/partners/{one.id}/merge", data={"other_id": two.id}).location.endswith(
        f"/partners/{one.id}"
    )
    for path in ("", "/edit", "/merge"):
        answer = client.get(f"/partners/{two.id}{path}")
        assert answer.status_code == 302, path
    assert client.get(f"/partners/{two.id}").location.endswith(f"/partners/{one.id}")
    assert "Merged into this one" in client.get(f"/partners/{one.id}").text
    assert "Other" not in client.get("/partners?f=customers&f=archived").text
    cashier = sign_in(make_user("cashier"))
    assert cashier.get("/partners/duplicates").status_code == 403
