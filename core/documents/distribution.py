"""How the customer of a document wants to get it, as a module that keeps such rules says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.documents.models import Document
from core.partners.models import Partner
from core.signals import document_distribution_asked


@dataclass(frozen=True, slots=True)
class Wish:
    """How a document is to reach its customer.

    Attributes:
        by_mail: True where it is mailed.
        on_paper: True where it is printed.
        recipients: Who at the customer gets the mail, each with the function code for which, or "".
        missing: Whom the mail should reach and cannot, in words.
        why: The sentence that names the rule.
        url: The page about it.
    """

    by_mail: bool
    on_paper: bool
    recipients: tuple[tuple[Partner, str], ...]
    missing: tuple[str, ...]
    why: str
    url: str

    @property
    def paper_only(self) -> bool:
        """True where a mail would be a mistake."""
        return self.on_paper and not self.by_mail


def wishes_for(documents: Iterable[Document]) -> dict[int, Wish]:
    """Return how the customers of documents want to get them, by id, without those of which nothing was agreed."""
    found: dict[int, Wish] = {}
    for _receiver, answer in document_distribution_asked.send(tuple(documents)):
        found = {**(answer or {}), **found}
    return found


def wish_for(document: Document) -> Wish | None:
    """Return how the customer of a document wants to get it, or None where nothing was agreed."""
    return wishes_for([document]).get(document.id)
