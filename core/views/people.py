"""Searching people, for the fields that ask the server while somebody types."""

from __future__ import annotations

from flask import abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from core.auth.models import User, user_company
from core.auth.permissions import requires, signed_in, signed_in_user
from core.auth.service import companies_of
from core.db import db
from core.matching import MAX_TYPED, matching
from core.partners.search import Person
from core.partners.service import search_people
from core.products.service import find_products, product_label
from core.views.blueprint import blueprint

FOUND_AT_MOST = 30


def as_choice(person: Person) -> dict[str, object]:
    """Return somebody as the searching fields want it; the value says which table it is from."""
    return {
        "value": f"u{person.user_id}" if person.user_id is not None else f"p{person.partner_id}",
        "text": person.name,
        "name": person.name,
        "email": person.email,
        "detail": person.detail,
        "partner_id": person.partner_id,
        "user_id": person.user_id,
        "opted_out": person.opted_out,
    }


def typed() -> str:
    """Return what somebody types into a searching field."""
    return request.args.get("q", "")[:MAX_TYPED].strip()


@blueprint.get("/people")
@requires("core.partner.read")
def people() -> ResponseReturnValue:
    """Return the customers, contacts and colleagues whom a text finds.

    Parameters: `q`, the text; `only=customers` for customers alone, `only=partners` for them and their contacts, whose
    value is their number then; `company_id` for whom a document of that company can name.
    """
    only, user = request.args.get("only"), signed_in_user()
    company_id = request.args.get("company_id", type=int)
    if company_id is not None:
        _demand_own(company_id)
    found = search_people(typed(), user, customers_only=only == "customers", company_id=company_id)
    if only == "partners":
        found = [person for person in found if person.partner_id is not None]
    choices = [as_choice(person) for person in found]
    if only in {"customers", "partners"}:
        choices = [{**choice, "value": str(choice["partner_id"])} for choice in choices]
    return jsonify(choices)


@blueprint.get("/pick/<int:company_id>/products")
@signed_in
def pick_products(company_id: int) -> ResponseReturnValue:
    """Return the products of a company of the user that a text finds, for `ProductField`."""
    _demand_own(company_id)
    return jsonify(
        [
            {"value": str(row.id), "text": product_label(row), "detail": row.unit}
            for row in find_products(company_id, typed())
        ]
    )


@blueprint.get("/pick/<int:company_id>/users")
@signed_in
def pick_users(company_id: int) -> ResponseReturnValue:
    """Return the colleagues in a company of the user whom a text finds, for `UserField`."""
    _demand_own(company_id)
    works = select(user_company.c.user_id).where(user_company.c.company_id == company_id)
    found = select(User).where(User.active, User.id.in_(works), *matching(typed(), User.name, User.login))
    return jsonify(
        [
            {"value": str(row.id), "text": row.name, "detail": row.login}
            for row in db.session.scalars(found.order_by(User.name, User.id).limit(FOUND_AT_MOST))
        ]
    )


def _demand_own(company_id: int) -> None:
    if company_id not in companies_of(signed_in_user()):
        abort(404)
