"""Who and what is around documents, of which the recipients of their mails are chosen; for many as for one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.documents.distribution import Wish, wishes_for
from core.documents.models import Document
from core.followers.models import Follower
from core.followers.service import followers_of, followers_of_each, removed_from, removed_from_each
from core.partners.models import Partner
from core.partners.service import contacts_of_each, customer_of


@dataclass(frozen=True, slots=True)
class Around:
    """Who and what is around a document.

    Attributes:
        customer: Whose it is, or None.
        contacts: The active contacts of that customer, the main contact first.
        followers: Who follows it now.
        removed: Who was removed from them.
        wish: How the customer wants to get it, or None where nothing was agreed.
    """

    customer: Partner | None
    contacts: Sequence[Partner]
    followers: Sequence[Follower]
    removed: Sequence[Follower]
    wish: Wish | None

    @property
    def removed_keys(self) -> frozenset[str]:
        """The keys of the addresses of those who were removed."""
        return _removed_keys(self.followers, self.removed)


def around(document: Document) -> Around:
    """Return what is around a document."""
    return around_each([document])[document.id]


def around_each(documents: Collection[Document]) -> dict[int, Around]:
    """Return what is around documents, by their ids: as many queries for a hundred as for one."""
    customers = {row.id: customer_of(row.partner) if row.partner is not None else None for row in documents}
    contacts = contacts_of_each({one.id for one in customers.values() if one is not None}, labels=True)
    followers, removed = followers_of_each(customers), removed_from_each(customers)
    wishes = wishes_for(documents)
    return {
        number: Around(
            customer,
            contacts[customer.id] if customer is not None else (),
            followers[number],
            removed[number],
            wishes.get(number),
        )
        for number, customer in customers.items()
    }


def removed_keys(document: Document) -> frozenset[str]:
    """Return the keys of the addresses of those who were removed from the followers of a document."""
    return _removed_keys(followers_of(document.id), removed_from(document.id))


def _removed_keys(followers: Sequence[Follower], removed: Sequence[Follower]) -> frozenset[str]:
    # Two people may share an address: while one of them follows, it is no removed one.
    there = {follower.email.casefold() for follower in followers if follower.by_mail}
    return frozenset({follower.email.casefold() for follower in removed if follower.email} - there)
