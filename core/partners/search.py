"""Finding people by what somebody types: customers, contacts, colleagues."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sqlalchemy import ColumnElement, LargeBinary, Select, SQLColumnExpression, and_, cast, func, or_, select
from sqlalchemy.orm import aliased, joinedload

from core.auth.models import User
from core.db import db
from core.i18n import gettext
from core.partners.models import Partner, PartnerType

MAX_WORDS = 6
MAX_TYPED = 100
COLLEAGUES_AT_MOST = 6
# Latin, Greek and Cyrillic letters with their accents: for others the letter itself is looked for.
_ALPHABETS = ((0x41, 0x24F), (0x370, 0x52F), (0x1E00, 0x1FFF))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was found.

    Attributes:
        name: As shown.
        email: The address, or "".
        detail: Who that is: "contact of Dupont · Manager", "customer · Paris", "colleague".
        partner_id: The customer or contact, or None for a colleague.
        user_id: The colleague, or None.
        opted_out: True when this person wants no mails.
        kin: True for the customer that was given first place, and its contacts.
    """

    name: str
    email: str
    detail: str
    partner_id: int | None = None
    user_id: int | None = None
    opted_out: bool = False
    kin: bool = False


def search_people(
    text: str,
    *,
    limit: int = 20,
    customer: Partner | None = None,
    customers_only: bool = False,
) -> list[Person]:
    """Return active customers, contacts and colleagues whom every word of a text fits, in any case and accents.

    A word fits when it occurs in the name or the address, and for a contact also in the name of its customer.

    Args:
        text: What was typed; "" finds the first by name.
        limit: How many at most.
        customer: Whose people come first, itself among them.
        customers_only: True for nothing but customers.
    """
    found: list[Person] = []
    if customer is not None:
        contacts = sorted(customer.contacts, key=lambda contact: not contact.is_main)
        kin = [person for person in (customer, *contacts) if person.active]
        found += [_person(row, kin=True) for row in kin if _fits(text, row)]
    if not customers_only:
        colleagues = select(User).where(User.active, *matching(text, User.name, User.login))
        found += [
            Person(row.name, row.login, str(gettext("colleague")), user_id=row.id)
            for row in db.session.scalars(colleagues.order_by(User.name, User.id).limit(COLLEAGUES_AT_MOST))
        ]
    known = {person.partner_id for person in found}
    # Who begins with it first: of a hundred thousand, "Kes" means Kestrel before Brickestone.
    for begins in (True, False) if text.strip() else (False,):
        if len(found) >= limit:
            break
        rows = db.session.scalars(_partners(text, begins, customers_only).limit(limit)).unique().all()
        found += [_person(row) for row in rows if row.id not in known]
        known |= {row.id for row in rows}
    return found[:limit]


def matching(
    text: str, *columns: SQLColumnExpression[str], begins: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions of a search text: each of its words occurs in one of the columns.

    Case and accents make no difference: both databases look for classes of letters.

    Args:
        text: What was typed.
        columns: Where the words may stand.
        begins: True when one of the columns must begin with the whole text.
    """
    if begins:
        return [or_(*(_like(column, _folded(text), begins=True) for column in columns))]
    return [or_(*(_like(column, word) for column in columns)) for word in _words(text)]


def _partners(text: str, begins: bool, customers_only: bool) -> Select[Partner]:
    # Of a text that few rows fit, walking the index of names would look at every row of the table in turn.
    name = Partner.name if not text.strip() else func.coalesce(Partner.name, "")
    query = select(Partner).where(Partner.active).order_by(name, Partner.id)
    query = query.options(joinedload(Partner.parent))
    if customers_only:
        query = query.where(Partner.parent_id.is_(None))
    if begins or customers_only:
        return query.where(*matching(text, Partner.name, Partner.email, begins=begins))
    owner = aliased(Partner)
    return query.where(
        *(
            or_(
                _like(Partner.name, word),
                _like(Partner.email, word),
                Partner.parent_id.in_(select(owner.id).where(_like(owner.name, word))),
            )
            for word in _words(text)
        )
    )


def _person(row: Partner, *, kin: bool = False) -> Person:
    return Person(
        row.name,
        row.email,
        describe(row, kin=kin),
        partner_id=row.id,
        opted_out=row.opted_out_at is not None,
        kin=kin,
    )


def describe(partner: Partner, *, kin: bool = False) -> str:
    """Return in a few words who a partner is, so that two of one name can be told apart.

    Args:
        partner: The partner.
        kin: True where it is plain whose contact it is.
    """
    if partner.parent is None:
        parts = [gettext("customer"), partner.city]
    elif kin:
        parts = [_kind(partner.type), partner.function]
    else:
        parts = [_kind_of(partner.type, partner.parent.name), partner.function]
    return " · ".join(str(part) for part in parts if part)


def _kind(kind: PartnerType) -> str:
    if kind is PartnerType.BILLING:
        return str(gettext("billing contact"))
    return str(gettext("delivery contact") if kind is PartnerType.DELIVERY else gettext("contact"))


def _kind_of(kind: PartnerType, name: str) -> str:
    if kind is PartnerType.BILLING:
        return str(gettext("billing contact of %(name)s", name=name))
    if kind is PartnerType.DELIVERY:
        return str(gettext("delivery contact of %(name)s", name=name))
    return str(gettext("contact of %(name)s", name=name))


def _folded(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.replace("\0", "").strip()[:MAX_TYPED])
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(_folded(text).split()))[:MAX_WORDS]


def _fits(text: str, partner: Partner) -> bool:
    owner = partner.parent.name if partner.parent is not None else ""
    places: Iterable[str] = [_folded(place) for place in (partner.name, partner.email, owner)]
    return all(any(word in place for place in places) for word in _words(text))


@cache
def _letters() -> dict[str, str]:
    """Return all letters that a folded letter stands for."""
    classes: dict[str, set[str]] = {}
    for first, last in _ALPHABETS:
        for letter in map(chr, range(first, last + 1)):
            folded = _folded(letter)
            if len(folded) == 1 and letter.isalpha():
                classes.setdefault(folded, {folded}).add(letter)
    return {folded: "".join(sorted(letters)) for folded, letters in classes.items()}


def _like(column: SQLColumnExpression[str], folded: str, *, begins: bool = False) -> ColumnElement[bool]:
    letters = _letters()
    if db.engine.dialect.name != "sqlite":
        pattern = "".join(
            f"[{letters[letter]}]" if letter in letters else re.escape(letter) for letter in folded
        )
        return column.regexp_match(f"^{pattern}" if begins else pattern)
    pattern = "".join(f"[{letters.get(letter, letter)}]" for letter in folded)
    # A bracket cannot stand for itself otherwise, and a caret must not turn a class around.
    pattern = pattern.replace("[^]", "^").replace("[]]", "]")
    glob = column.op("GLOB", is_comparison=True)(f"{pattern}*" if begins else f"*{pattern}*")
    # Classes are slow there, and most names have no letter that needs one.
    place = func.instr(func.lower(column), folded)
    return or_(place == 1 if begins else place > 0, and_(beyond_ascii(column), glob))


def beyond_ascii(column: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Return the condition that a text has letters whose case only Python knows in full."""
    if db.engine.dialect.name == "sqlite":
        return func.length(column) < func.length(cast(column, LargeBinary))
    return func.length(column) < func.octet_length(column)
