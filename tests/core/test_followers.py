"""Who follows a document: the rules, and the panel on its page."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.documents.following import MayNotReadError, add_follower, candidates, follower_panel
from core.documents.models import Document
from core.documents.service import change_customer
from core.errors import UserError
from core.followers.models import Follower, FollowReason
from core.followers.service import (
    FormerFollows,
    follow,
    followers_of,
    removed_from,
    restore,
    set_by_mail,
    unfollow,
)
from core.partners.models import Partner, PartnerType
from core.partners.service import save_contact, save_partner
from modules.sales.service import orders
from modules.sales.service.lines import LineValues

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]
HTMX = {"HX-Request": "true"}
STOPS, BY_MAIL, IN_APPLICATION = FormerFollows


@pytest.fixture
def sophie(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def kestrel(company: Company) -> Partner:
    return save_partner(
        None, {"name": "Kestrel Ltd", "email": "office@kestrel.example.com", "language": "en"}
    )


@pytest.fixture
def anna(kestrel: Partner) -> Partner:
    return save_contact(kestrel, "Anna Smith", "anna@kestrel.example.com", function="Buyer")


@pytest.fixture
def dupont(company: Company) -> Partner:
    return save_partner(None, {"name": "Dupont & Fils", "email": "contact@dupont.example.com"})


@pytest.fixture
def document(company: Company, kestrel: Partner, sophie: User) -> Document:
    values = orders.QuotationValues(
        kestrel.id, dt.date(2026, 3, 12), [LineValues("Lamp", Decimal(1), Decimal(10))]
    )
    return orders.create_quotation(company, values, sophie).document


@pytest.fixture
def client(sophie: User, sign_in: SignIn) -> FlaskClient:
    return sign_in(sophie)


def _now(document: Document) -> list[tuple[str, FollowReason, bool]]:
    db.session.rollback()
    return [(row.name, row.reason, row.by_mail) for row in followers_of(document.id)]


def _names(document: Document) -> list[str]:
    return [name for name, _reason, _by_mail in _now(document)]


OWNER = ("Sophie Bernard", FollowReason.OWNER, False)


# ---------------------------------------------------------------------------------------------- the rules


@pytest.mark.both_databases
def test_a_removed_follower_stays_removed_until_a_person_adds_it_again(
    document: Document, kestrel: Partner, sophie: User
) -> None:
    customer = followers_of(document.id)[0]
    unfollow(customer)
    follow(document.id, partner_id=kestrel.id, reason=FollowReason.CUSTOMER)
    assert _now(document) == [OWNER], "nothing brings it back by itself"
    assert [row.name for row in removed_from(document.id)] == ["Kestrel Ltd"]
    add_follower(document, partner_id=kestrel.id, by=sophie)
    assert _now(document) == [("Kestrel Ltd", FollowReason.CUSTOMER, True), OWNER]
    assert removed_from(document.id) == []


@pytest.mark.both_databases
def test_a_removal_is_taken_back_with_everything_as_it_was(
    document: Document, anna: Partner, sophie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = add_follower(document, partner_id=anna.id, by=sophie)
    set_by_mail(follower, False)
    added_at = follower.added_at
    monkeypatch.setattr(clock, "now", lambda: added_at + dt.timedelta(days=3))
    unfollow(follower)
    first = follower.removed_at
    unfollow(follower)
    assert follower.removed_at == first
    restore(follower)
    db.session.expire_all()
    assert (follower.removed_at, follower.by_mail, follower.added_by, follower.added_at) == (
        None,
        False,
        sophie,
        added_at,
    )


def test_who_cannot_be_added_is_said(
    document: Document, anna: Partner, dupont: Partner, sophie: User
) -> None:
    add_follower(document, partner_id=anna.id, by=sophie)
    for partner_id, sentence in (
        (anna.id, "Anna Smith follows this document already."),
        (None, "Choose somebody from the list."),
        (999_999, "Choose somebody from the list."),
    ):
        with pytest.raises(UserError, match=sentence) as caught:
            add_follower(document, partner_id=partner_id, by=sophie)
        assert caught.value.field == "who"
    save_partner(dupont, {"active": False})
    with pytest.raises(UserError, match="Dupont & Fils is archived"):
        add_follower(document, partner_id=dupont.id, by=sophie)


@pytest.mark.both_databases
def test_a_colleague_who_may_not_read_the_document_cannot_follow_it(
    document: Document, make_user: MakeUser, sophie: User
) -> None:
    elsewhere = save_company(None, {"name": "Elsewhere"})
    stranger = make_user(
        "salesperson", login="oliver@example.com", name="Oliver Grant", company_ids=[elsewhere.id]
    )
    with pytest.raises(UserError, match="Choose somebody from the list"):
        add_follower(document, user_id=stranger.id, by=sophie)
    assert candidates(document, "oliver", sophie) == [], "people of other companies are not even named"
    oliver = make_user("cashier", login="grant@example.com", name="Oliver Grant")
    with pytest.raises(MayNotReadError, match="Oliver Grant may not read this document"):
        add_follower(document, user_id=oliver.id, by=sophie)
    colleague = make_user("administrator", name="Ada Min")
    assert add_follower(document, user_id=colleague.id, by=sophie).by_mail
    (found,) = candidates(document, "oliver", sophie)
    assert not found.may_read
    assert [one.person.name for one in candidates(document, "", sophie)] == [], (
        "an offer names only who can be added"
    )


def test_a_colleague_who_lost_the_permission_is_marked(
    document: Document, make_user: MakeUser, sophie: User, client: FlaskClient
) -> None:
    colleague = make_user("administrator", name="Ada Min")
    add_follower(document, user_id=colleague.id, by=sophie)
    colleague.roles = []
    db.session.commit()
    shown = {row.follower.name: row.may_read for row in follower_panel(document).followers}
    assert shown == {"Kestrel Ltd": True, "Sophie Bernard": True, "Ada Min": False}
    assert "May not read this document" in client.get(f"/documents/{document.id}/followers").text


def test_contacts_of_the_customer_are_offered_first(
    document: Document, kestrel: Partner, anna: Partner, dupont: Partner, sophie: User
) -> None:
    save_contact(kestrel, "Zoe", "zoe@kestrel.example.com", is_main=True)
    found = [(one.person.name, one.person.kin) for one in candidates(document, "", sophie)]
    assert found == [("Zoe", True), ("Anna Smith", True), ("Dupont & Fils", False)]
    unfollow(followers_of(document.id)[0])
    found_now = {one.person.name: one for one in candidates(document, "k", sophie)}
    assert found_now["Kestrel Ltd"].removed
    assert not found_now["Kestrel Ltd"].follows
    assert anna.name in [partner.name for partner in follower_panel(document).contacts]
    assert dupont.name not in [partner.name for partner in follower_panel(document).contacts]


def test_the_same_address_twice_is_said(document: Document, kestrel: Partner, sophie: User) -> None:
    twin = save_partner(None, {"name": "Twin", "email": "OFFICE@kestrel.example.com"})
    follower = add_follower(document, partner_id=twin.id, by=sophie)
    same = {row.follower.name: row.same_as for row in follower_panel(document).followers}
    assert same == {kestrel.name: "", "Sophie Bernard": "", "Twin": kestrel.name}
    set_by_mail(follower, False)
    assert not any(row.same_as for row in follower_panel(document).followers)


# -------------------------------------------------------------------------------------- another customer


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("former", "kept"),
    [
        (STOPS, []),
        (BY_MAIL, [("Kestrel Ltd", FollowReason.ADDED, True)]),
        (IN_APPLICATION, [("Kestrel Ltd", FollowReason.ADDED, False)]),
    ],
)
@pytest.mark.parametrize(
    ("contacts", "kept_contacts"),
    [
        (STOPS, []),
        (BY_MAIL, [("Anna Smith", FollowReason.ADDED, True)]),
        (IN_APPLICATION, [("Anna Smith", FollowReason.ADDED, False)]),
    ],
)
def test_another_customer_follows_and_the_former_as_was_said(
    document: Document,
    anna: Partner,
    dupont: Partner,
    sophie: User,
    former: FormerFollows,
    kept: list[tuple[str, FollowReason, bool]],
    contacts: FormerFollows,
    kept_contacts: list[tuple[str, FollowReason, bool]],
) -> None:
    add_follower(document, partner_id=anna.id, by=sophie)
    change_customer(document, dupont.id, sophie, former=former, former_contacts=contacts)
    customer, *rest = _now(document)
    assert customer == ("Dupont & Fils", FollowReason.CUSTOMER, True)
    assert sorted(rest) == sorted([OWNER, *kept, *kept_contacts])


@pytest.mark.both_databases
def test_a_customer_that_comes_back_follows_by_mail_again(
    document: Document, kestrel: Partner, dupont: Partner, sophie: User
) -> None:
    for former in FormerFollows:
        change_customer(document, dupont.id, sophie, former=former)
        change_customer(document, kestrel.id, sophie)
        assert _now(document) == [("Kestrel Ltd", FollowReason.CUSTOMER, True), OWNER]


def test_who_was_removed_stays_removed_whatever_the_customer_is(
    document: Document, kestrel: Partner, dupont: Partner, sophie: User
) -> None:
    unfollow(followers_of(document.id)[0])
    change_customer(document, dupont.id, sophie, former=BY_MAIL)
    assert _names(document) == ["Dupont & Fils", "Sophie Bernard"]
    change_customer(document, kestrel.id, sophie)
    assert _names(document) == ["Sophie Bernard"]


def test_a_contact_that_becomes_the_customer_goes_on_following(
    document: Document, anna: Partner, sophie: User
) -> None:
    add_follower(document, partner_id=anna.id, by=sophie)
    change_customer(document, anna.id, sophie)
    assert _now(document) == [("Anna Smith", FollowReason.CUSTOMER, True), OWNER]


# ---------------------------------------------------------------------------------------------- the panel


def _id(document: Document, name: str) -> int:
    db.session.rollback()
    rows = [*followers_of(document.id), *removed_from(document.id)]
    return next(row.id for row in rows if row.name == name)


def test_the_panel_says_who_follows_why_where_and_how(
    client: FlaskClient, document: Document, anna: Partner, sophie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 11, 12, 9, tzinfo=dt.UTC))
    add_follower(document, partner_id=anna.id, by=sophie)
    save_partner(anna, {"consent": "none", "email": ""})
    panel = client.get(f"/sales/orders/{document.id}").text.split('id="followers"')[1]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", panel))
    for said in (
        "office@kestrel.example.com customer",
        "salesperson@maison.example.com owner",
        "added by Sophie Bernard on 12 Nov 2026",
        "no address",
        "Opted out of emails",
        "by email",
        "in the application only",
    ):
        assert said in words, said


def test_a_follower_is_added_switched_removed_and_taken_back_in_place(
    client: FlaskClient, document: Document, anna: Partner
) -> None:
    at = f"/documents/{document.id}/followers"
    answer = client.post(at, data={"who": f"p{anna.id}"}, headers=HTMX)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<section")
    assert "Anna Smith follows this document now." in answer.text
    number = _id(document, "Anna Smith")
    answer = client.post(f"{at}/{number}/how", data={"by_mail": "0"}, headers=HTMX)
    assert "Anna Smith follows in the application only now." in answer.text
    assert _now(document)[-1] == ("Anna Smith", FollowReason.ADDED, False)
    answer = client.post(f"{at}/{number}/remove", headers=HTMX)
    assert "Anna Smith no longer follows this document." in answer.text
    assert 'name="undo"' in answer.text
    assert "Removed" in answer.text
    assert _names(document) == ["Kestrel Ltd", "Sophie Bernard"]
    client.post(f"{at}/{number}/restore", data={"undo": "1"}, headers=HTMX)
    assert _now(document)[-1] == ("Anna Smith", FollowReason.ADDED, False)
    client.post(f"{at}/{number}/remove", headers=HTMX)
    client.post(f"{at}/{number}/restore", headers=HTMX)
    assert _now(document)[-1] == ("Anna Smith", FollowReason.ADDED, True), "added again, by email"


def test_without_script_the_same_forms_lead_back_to_the_document(
    client: FlaskClient, document: Document, anna: Partner
) -> None:
    at = f"/documents/{document.id}/followers"
    answer = client.post(at, data={"who": f"p{anna.id}"})
    assert (answer.status_code, answer.location) == (302, f"/documents/{document.id}")
    found = client.get(f"{at}?q=anna").text
    assert "follows already" in found
    answer = client.post(at, data={"who": ""})
    assert answer.status_code == 422
    assert "Choose somebody from the list." in answer.text
    assert "<html" in answer.text


@pytest.mark.parametrize("who", ["", "p", "x1", "p-1", "pé", "p99999999999999", "u0", "1", "p²"])
def test_nobody_is_added_by_a_text_that_names_nobody(
    client: FlaskClient, document: Document, who: str
) -> None:
    answer = client.post(f"/documents/{document.id}/followers", data={"who": who}, headers=HTMX)
    assert answer.status_code == 422
    assert "Choose somebody from the list." in answer.text


def test_a_colleague_without_the_permission_is_refused_with_the_reason(
    client: FlaskClient, document: Document, make_user: MakeUser
) -> None:
    stranger = make_user("cashier", login="oliver@example.com", name="Oliver Grant")
    (found,) = client.get(f"/documents/{document.id}/followers/people?q=oliver").get_json()
    assert (found["disabled"], found["detail"]) == (True, "colleague · may not read this document")
    answer = client.post(f"/documents/{document.id}/followers", data={"who": f"u{stranger.id}"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Oliver Grant may not read this document" in answer.text


def test_a_new_contact_is_made_and_follows_at_once(
    client: FlaskClient, document: Document, kestrel: Partner
) -> None:
    form = {"name": "Ben", "email": "ben@kestrel.example.com", "type": "billing"}
    answer = client.post(f"/documents/{document.id}/followers/contact", data=form, headers=HTMX)
    assert "Ben is a contact of Kestrel Ltd now, and follows this document." in answer.text
    ben = db.session.query(Partner).filter_by(name="Ben").one()
    assert (ben.parent_id, ben.type, ben.email) == (kestrel.id, PartnerType.BILLING, form["email"])
    assert _names(document)[-1] == "Ben"


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "", "email": "ben@kestrel.example.com"}, "A name is needed."),
        ({"name": "Ben", "email": "ben@"}, "is not a valid email address"),
        ({"name": "Ben", "email": "anna@kestrel.example.com"}, "Anna Smith has this address already."),
    ],
)
def test_a_contact_that_cannot_be_made_loses_nothing(
    client: FlaskClient, document: Document, anna: Partner, form: dict[str, str], sentence: str
) -> None:
    answer = client.post(
        f"/documents/{document.id}/followers/contact", data={**form, "type": "delivery"}, headers=HTMX
    )
    assert answer.status_code == 422
    assert sentence in answer.text
    assert f'value="{form["name"]}"' in answer.text
    assert f'value="{form["email"]}"' in answer.text
    assert '<option value="delivery" selected>' in answer.text
    assert '<details class="follower-new" open>' in answer.text
    assert db.session.query(Partner).filter(Partner.parent_id.is_not(None)).all() == [anna]
    assert (f'value="p{anna.id}"' in answer.text.split("follower-new")[-1]) == ("anna@" in form["email"])


def test_what_is_gone_is_said_in_the_panel(
    client: FlaskClient, document: Document, kestrel: Partner, dupont: Partner, sophie: User
) -> None:
    number = _id(document, kestrel.name)
    change_customer(document, dupont.id, sophie)
    for verb in ("remove", "restore", "how"):
        answer = client.post(f"/documents/{document.id}/followers/{number}/{verb}", headers=HTMX)
        assert answer.status_code == 422
        assert "This follower is not there any more." in answer.text


def test_followers_of_another_document_are_out_of_reach(
    client: FlaskClient, document: Document, company: Company, dupont: Partner, sophie: User
) -> None:
    other = orders.create_quotation(
        company, orders.QuotationValues(dupont.id, dt.date(2026, 3, 12)), sophie
    ).document
    number = _id(other, dupont.name)
    client.post(f"/documents/{document.id}/followers/{number}/remove", headers=HTMX)
    assert dupont.name in _names(other)


def test_only_who_may_reads_and_changes_followers(
    document: Document, anna: Partner, make_user: MakeUser, sign_in: SignIn, sophie: User
) -> None:
    at = f"/documents/{document.id}/followers"
    elsewhere = save_company(None, {"name": "Elsewhere"})
    stranger = make_user("salesperson", login="oliver@example.com", company_ids=[elsewhere.id])
    outside = sign_in(stranger)
    assert outside.get(at).status_code == 404
    assert outside.get(f"{at}/people?q=a").status_code == 404
    number = _id(document, "Kestrel Ltd")
    for path in (
        at,
        f"{at}/contact",
        f"{at}/{number}/remove",
        f"{at}/{number}/restore",
        f"{at}/{number}/how",
    ):
        assert outside.post(path, data={"who": f"p{anna.id}", "name": "X"}).status_code == 404
    for role in sophie.roles:
        role.grants = [grant for grant in role.grants if grant.permission != "core.partner.read"]
    db.session.commit()
    assert "follower-add" not in sign_in(sophie).get(f"/sales/orders/{document.id}").text
    assert sign_in(sophie).get(f"{at}/people?q=a").status_code == 403
    for role in sophie.roles:
        role.grants = [grant for grant in role.grants if grant.permission != "core.follower.edit"]
    db.session.commit()
    reader = sign_in(sophie)
    page = reader.get(f"/sales/orders/{document.id}").text
    assert "Kestrel Ltd" in page
    assert "follower-how" not in page
    assert "follower-add" not in page
    assert reader.post(at, data={"who": f"p{anna.id}"}).status_code == 403
    assert db.session.query(Follower).count() == 2
