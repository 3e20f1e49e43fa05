"""Searching people, for the fields that ask the server while somebody types."""

from __future__ import annotations

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires
from core.matching import MAX_TYPED
from core.partners.search import Person
from core.partners.service import search_people
from core.views.blueprint import blueprint


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

    Parameters: `q`, the text; `only=customers` for customers alone, whose value is their number then.
    """
    customers_only = request.args.get("only") == "customers"
    found = search_people(typed(), customers_only=customers_only)
    choices = [as_choice(person) for person in found]
    if customers_only:
        choices = [{**choice, "value": str(choice["partner_id"])} for choice in choices]
    return jsonify(choices)
