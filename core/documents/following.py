"""The followers of a document as its page shows them, who may be added, and who may get its mails."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import acting_user, colleagues, who_reaches
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.followers.models import Follower
from core.followers.service import follow, followers_of, removed_from, restore
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner, PartnerType
from core.partners.reach import partner_for
from core.partners.search import Person, search_people
from core.partners.service import contacts_of, customer_of
from core.partners.titles import CONTACT_TITLES
from core.registry import current_registry

CONTACTS_AT_MOST = 12  # offered beside the panel; the others are found by typing


class MayNotReadError(UserError):
    """A colleague may not read the document, so they cannot follow it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            _l(
                "%(name)s may not read this document, and would get it by following it. An administrator can change "
                "that with the roles and companies of the user.",
                name=name,
            )
        )


@dataclass(frozen=True, slots=True)
class ShownFollower:
    """A follower as the panel shows them.

    Attributes:
        follower: The row.
        may_read: False for a colleague who may no longer read the document.
        same_as: The name of another follower by mail who has the same address, or "".
        customer: The name of the customer that a contact belongs to, where it is not the document's, or "".
    """

    follower: Follower
    may_read: bool = True
    same_as: str = ""
    customer: str = ""


@dataclass(frozen=True, slots=True)
class FollowerPanel:
    """The data of the panel of followers on the page of a document.

    Attributes:
        document: The document.
        followers: Who follows, the customer first.
        removed: Who was removed, the last one first.
        contacts: Contacts of the customer, and itself, who do not follow and were not removed.
        customer: Whom a new contact would belong to, or None.
        contact_titles: The kinds that a new contact can have.
    """

    document: Document
    followers: list[ShownFollower]
    removed: list[Follower]
    contacts: list[Partner] = field(default_factory=list)
    customer: Partner | None = None
    contact_titles: Mapping[PartnerType, object] = field(default_factory=lambda: CONTACT_TITLES)


def follower_panel(document: Document) -> FollowerPanel:
    """Return what the page of a document shows about its followers to who is signed in."""
    user = acting_user()
    followers = followers_of(document.id)
    removed = removed_from(document.id)
    customer = customer_of(document.partner) if document.partner is not None else None
    known = {follower.partner_id for follower in (*followers, *removed)}
    within = customer is not None and partner_for(user, customer.id) is not None
    kin = [customer, *contacts_of(customer)] if within and customer is not None else []
    return FollowerPanel(
        document,
        _shown(document, followers),
        removed,
        [partner for partner in kin if partner.active and partner.id not in known][:CONTACTS_AT_MOST],
        customer if within else None,
    )


def _shown(document: Document, followers: list[Follower]) -> list[ShownFollower]:
    first: dict[str, str] = {}
    shown = []
    may = readers(document, [follower.user for follower in followers if follower.user is not None])
    for follower in followers:
        same_as = ""
        if follower.by_mail and follower.email:
            same_as = first.get(follower.email.casefold(), "")
            first.setdefault(follower.email.casefold(), follower.name)
        partner = follower.partner
        other = (
            partner is not None and partner.parent is not None and partner.parent_id != document.partner_id
        )
        shown.append(
            ShownFollower(
                follower,
                may_read=follower.user_id is None or follower.user_id in may,
                same_as=same_as,
                customer=partner.parent.name if other and partner and partner.parent else "",
            )
        )
    return shown


def readers(document: Document, users: Collection[User]) -> frozenset[int]:
    """Return the ids of those among users, who need not be the one of the request, who may read a document.

    However many they are, it costs two queries.
    """
    kind = current_registry().kinds.get(document.kind)
    active = [user for user in users if user.active]
    if kind is None or not active:
        return frozenset()
    return who_reaches(active, kind.read, owner_id=document.owner_id, company_id=document.company_id)


def mailable_followers(
    document: Document, followers: Sequence[Follower] | None = None
) -> tuple[list[Follower], list[Follower]]:
    """Return those who follow a document by mail and may get it, and those who follow by mail but are skipped.

    Skipped are an archived partner, a deactivated colleague, and a colleague who may no longer read the document.
    Somebody without an address, or who wants no mails, is not: a person decides about them.

    Args:
        document: The document.
        followers: Those who follow it now, where the caller knows them.
    """
    following = followers_of(document.id) if followers is None else followers
    by_mail = [follower for follower in following if follower.by_mail]
    may = readers(document, [follower.user for follower in by_mail if follower.user is not None])
    there: list[Follower] = []
    skipped: list[Follower] = []
    for follower in by_mail:
        partner = follower.partner
        fit = partner.active if partner is not None else follower.user_id in may
        (there if fit else skipped).append(follower)
    return there, skipped


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may be added to the followers.

    Attributes:
        person: Who that is.
        follows: True when they follow already.
        removed: True when somebody has removed them before.
        may_read: False for a colleague who may not read the document, and so cannot be added.
    """

    person: Person
    follows: bool = False
    removed: bool = False
    may_read: bool = True


def candidates(document: Document, text: str, user: User, limit: int = 20) -> list[Candidate]:
    """Return whom a text finds, those of the document's customer first, and whether they can be added.

    Without a text nobody is named who cannot be added: that is an offer, not an answer. Nobody is named whom the user
    does not reach.
    """
    customer = customer_of(document.partner) if document.partner is not None else None
    now = {(row.partner_id, row.user_id) for row in followers_of(document.id)}
    before = {(row.partner_id, row.user_id) for row in removed_from(document.id)}
    people = search_people(text, user, limit=limit, customer=customer, company_id=document.company_id)
    numbers = [person.user_id for person in people if person.user_id is not None]
    may = (
        readers(document, db.session.scalars(select(User).where(User.id.in_(numbers))).all())
        if numbers
        else ()
    )
    found = []
    for person in people:
        key = (person.partner_id, person.user_id)
        found.append(
            Candidate(person, key in now, key in before, person.user_id is None or person.user_id in may)
        )
    return found if text else [one for one in found if one.may_read and not one.follows]


def add_follower(
    document: Document, *, partner_id: int | None = None, user_id: int | None = None, by: User
) -> Follower:
    """Let a partner or a colleague follow a document by mail, because a person wants it.

    Args:
        document: The document.
        partner_id: The partner, or None.
        user_id: The colleague, or None.
        by: Who adds them.

    Raises:
        MayNotReadError: The colleague may not read the document.
        UserError: Nobody was chosen whom `by` reaches, they are gone or archived, or follow already.
    """
    partner = partner_for(by, partner_id, company_id=document.company_id) if partner_id is not None else None
    near = select(User).where(User.id == user_id, colleagues(by))
    user = db.session.scalar(near) if user_id is not None else None
    someone = partner or user
    if someone is None:
        raise UserError(_l("Choose somebody from the list."), "who")
    _refuse_who_is_gone(someone, "who")
    if any((row.partner_id, row.user_id) == (partner_id, user_id) for row in followers_of(document.id)):
        raise UserError(_l("%(name)s follows this document already.", name=someone.name), "who")
    _refuse_who_may_not_read(user, document)
    return follow(document.id, partner_id=partner_id, user_id=user_id, by=by)


def take_removal_back(document: Document, follower: Follower) -> None:
    """Let somebody who was removed follow again, with everything as it was before.

    Raises:
        MayNotReadError: A colleague may not read the document any more.
        UserError: They were archived or deactivated meanwhile.
    """
    someone = follower.partner or follower.user
    if someone is not None:
        _refuse_who_is_gone(someone)
    _refuse_who_may_not_read(follower.user, document)
    restore(follower)


def _refuse_who_is_gone(someone: Partner | User, field: str | None = None) -> None:
    if not someone.active:
        raise UserError(
            _l("%(name)s is archived.", name=someone.name)
            if isinstance(someone, Partner)
            else _l("%(name)s was deactivated.", name=someone.name),
            field,
        )


def _refuse_who_may_not_read(user: User | None, document: Document) -> None:
    if user is not None and user.id not in readers(document, [user]):
        raise MayNotReadError(user.name)
