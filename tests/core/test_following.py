"""Who comes back to a document and who gets its mails, whatever the roles say by now; and what it costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select

from core.auth.models import Role, User, user_company, user_role
from core.auth.permissions import who_reaches, within_reach
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Scope
from core.db import db
from core.documents.following import add_follower, candidates, mailable_followers
from core.documents.models import Document
from core.followers.models import Follower, FollowReason
from core.followers.service import followers_of, set_by_mail, unfollow
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.statements import statements

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def sophie(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def ada(make_user: MakeUser) -> User:
    return make_user("administrator", name="Ada Min")


@pytest.fixture
def kestrel(company: Company) -> Partner:
    return save_partner(
        None, {"name": "Kestrel Ltd", "email": "office@kestrel.example.com", "language": "en"}
    )


@pytest.fixture
def document(company: Company, kestrel: Partner, sophie: User) -> Document:
    values = orders.QuotationValues(
        kestrel.id, dt.date(2026, 3, 12), [LineValues("Lamp", Decimal(1), Decimal(10))]
    )
    return orders.create_quotation(company, values, sophie).document


# ------------------------------------------------------------------------------------------- coming back


def _restore(client: FlaskClient, document: Document, follower: Follower, **form: str) -> tuple[int, str]:
    path = f"/documents/{document.id}/followers/{follower.id}/restore"
    answer = client.post(path, data=form, headers=HTMX)
    return answer.status_code, answer.text


@pytest.mark.parametrize("form", [{"undo": "1"}, {}])
def test_a_colleague_who_may_not_read_the_document_does_not_come_back(
    document: Document, sophie: User, ada: User, sign_in: SignIn, form: dict[str, str]
) -> None:
    follower = add_follower(document, user_id=ada.id, by=sophie)
    unfollow(follower)
    client = sign_in(sophie)
    ada.roles = []
    db.session.commit()
    status, text = _restore(client, document, follower, **form)
    assert status == 422
    assert "Ada Min may not read this document" in text
    assert "Ada Min" not in [row.name for row in followers_of(document.id)]


def test_who_was_archived_or_deactivated_meanwhile_does_not_come_back(
    document: Document, kestrel: Partner, sophie: User, ada: User, sign_in: SignIn
) -> None:
    client = sign_in(sophie)
    colleague = add_follower(document, user_id=ada.id, by=sophie)
    customer = next(row for row in followers_of(document.id) if row.partner_id == kestrel.id)
    for follower in (colleague, customer):
        unfollow(follower)
    ada.active = kestrel.active = False
    db.session.commit()
    for follower, sentence in (
        (colleague, "Ada Min was deactivated."),
        (customer, "Kestrel Ltd is archived."),
    ):
        status, text = _restore(client, document, follower, undo="1")
        assert (status, sentence in text) == (422, True)
    assert [row.name for row in followers_of(document.id)] == ["Sophie Bernard"]


# ------------------------------------------------------------------------------------------ getting mails


@pytest.mark.both_databases
def test_mails_skip_who_is_gone_and_who_may_not_read(
    document: Document, kestrel: Partner, sophie: User, ada: User, make_user: MakeUser
) -> None:
    gone = make_user("administrator", login="gone@maison.example.com", name="Gone")
    quiet = make_user("administrator", login="quiet@maison.example.com", name="Quiet")
    moved = make_user("support", login="moved@maison.example.com", name="Moved")
    silent = save_contact(kestrel, "Without an address", "")
    archived = save_contact(kestrel, "Archived", "archived@kestrel.example.com")
    for user in (ada, gone, quiet, moved):
        add_follower(document, user_id=user.id, by=sophie)
    for partner in (silent, archived):
        add_follower(document, partner_id=partner.id, by=sophie)
    set_by_mail(next(row for row in followers_of(document.id) if row.user_id == quiet.id), False)
    gone.active = archived.active = False
    moved.roles = []
    db.session.commit()
    there, skipped = mailable_followers(document)
    assert [row.name for row in there] == ["Kestrel Ltd", "Ada Min", "Without an address"]
    assert [row.name for row in skipped] == ["Gone", "Moved", "Archived"]


def test_a_document_of_a_disabled_module_is_mailed_to_no_colleague(
    document: Document, sophie: User, ada: User
) -> None:
    add_follower(document, user_id=ada.id, by=sophie)
    document.kind = "gone.kind"
    db.session.commit()
    there, skipped = mailable_followers(document)
    assert ([row.name for row in there], [row.name for row in skipped]) == (["Kestrel Ltd"], ["Ada Min"])


# --------------------------------------------------------------------------------- one rule, asked two ways


@pytest.mark.both_databases
@pytest.mark.parametrize("scope", [None, *Scope])
@pytest.mark.parametrize("owns", [True, False])
@pytest.mark.parametrize("in_company", [True, False])
def test_users_in_memory_reach_what_a_query_reaches(
    document: Document,
    sophie: User,
    ada: User,
    make_user: MakeUser,
    scope: Scope | None,
    owns: bool,
    in_company: bool,
) -> None:
    elsewhere = save_company(None, {"name": "Elsewhere"})
    user = make_user(
        login="x@maison.example.com", company_ids=[document.company_id if in_company else elsewhere.id]
    )
    document.owner_id = user.id if owns else None
    for grant in (grant for role in user.roles for grant in list(role.grants)):
        if grant.permission == "sales.document.read":
            if scope is None:
                grant.role.grants.remove(grant)
            else:
                grant.scope = scope
    db.session.commit()
    asked = {"owner": Document.owner_id, "company": Document.company_id}
    query = select(Document.id).where(
        Document.id == document.id, within_reach(user, "sales.document.read", **asked)
    )
    there = who_reaches(
        [ada, user], "sales.document.read", owner_id=document.owner_id, company_id=document.company_id
    )
    expected = scope is Scope.ALL or (
        in_company and (scope is Scope.COMPANY or (scope is Scope.OWN and owns))
    )
    assert (db.session.scalar(query) is not None) == expected
    assert (user.id in there) == expected


# ----------------------------------------------------------------------------------------- what it costs


def _crowd(document: Document, first: int, last: int) -> None:
    """Let colleagues follow, each added by another one, and contacts of as many other customers."""
    model = db.session.scalars(select(Role).where(Role.code == "salesperson")).one()
    for number in range(first, last):
        user = User(
            login=f"u{number}@maison.example.com", name=f"User {number}", password_hash="-", session_key="-"
        )
        customer = Partner(name=f"Customer {number}", email=f"c{number}@example.com")
        db.session.add_all((user, customer))
        db.session.flush()
        contact = Partner(name=f"Contact {number}", parent_id=customer.id)
        db.session.add(contact)
        db.session.flush()
        db.session.execute(insert(user_role).values(user_id=user.id, role_id=model.id))
        db.session.execute(insert(user_company).values(user_id=user.id, company_id=document.company_id))
        for someone in ({"user_id": user.id}, {"partner_id": contact.id}):
            db.session.add(
                Follower(document_id=document.id, reason=FollowReason.ADDED, added_by_id=user.id, **someone)
            )
    db.session.commit()


def _queries(action: Callable[[], object]) -> int:
    db.session.rollback()
    db.session.expunge_all()
    with statements() as asked:
        action()
    return len(asked)


def test_fifty_followers_cost_no_more_queries_than_five(
    document: Document, sophie: User, sign_in: SignIn
) -> None:
    client, number, who = sign_in(sophie), document.id, sophie.id
    page = f"/sales/orders/{number}"
    client.get(page)

    def mail() -> None:
        assert mailable_followers(db.session.get_one(Document, number))[0]

    def search() -> None:
        assert candidates(db.session.get_one(Document, number), "user", db.session.get_one(User, who))

    counts = []
    for first, last in ((0, 5), (5, 50)):
        _crowd(db.session.get_one(Document, number), first, last)
        counts.append([_queries(action) for action in (lambda: client.get(page), mail, search)])
    assert counts[0] == counts[1]
    assert client.get(page).text.count("added by User") == 100
