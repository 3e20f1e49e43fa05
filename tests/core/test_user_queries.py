"""How often the database is asked for who somebody is, and what they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, select

from core.auth.models import User
from core.auth.permissions import who_reaches
from core.auth.service import user_of_session
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.service import create_document


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_who_is_signed_in_and_what_they_may_is_one_query(make_user: Callable[..., User]) -> None:
    session_id = make_user().get_id()
    db.session.remove()
    with statements() as asked:
        user = user_of_session(session_id)
        assert user is not None
        assert user.can("sales.document.read")
        assert [role.code for role in user.roles] == ["salesperson"]
    assert len(asked) == 1


def test_what_the_owner_of_a_document_may_is_not_asked_with_the_document(
    company: Company, make_user: Callable[..., User]
) -> None:
    create_document(
        "sales.quotation",
        company_id=company.id,
        partner_id=None,
        owner=make_user(),
        language="fr",
        currency="EUR",
    )
    db.session.remove()
    with statements() as asked:
        document = db.session.scalars(select(Document)).one()
        assert document.owner is not None
        assert document.owner.name == "Salesperson"
    assert len(asked) == 1
    assert document.owner.can("sales.document.read")


def test_what_many_may_is_two_queries(make_user: Callable[..., User], company: Company) -> None:
    people = [make_user(login=f"{number}@maison.example.com").id for number in range(3)]
    company_id = company.id
    db.session.remove()
    users = list(db.session.scalars(select(User).where(User.id.in_(people))))
    with statements() as asked:
        reached = who_reaches(users, "sales.document.read", owner_id=people[0], company_id=company_id)
    assert people[0] in reached
    assert len(asked) == 2
