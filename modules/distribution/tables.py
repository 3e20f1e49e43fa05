"""The list of what waits to be printed, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask_babel import gettext

from core.auth.models import User
from core.documents.models import Document
from core.documents.service import kind_title
from core.i18n import N_
from core.matching import found_in
from core.partners.search_index import partner_named
from core.partners.service import customer_of
from core.selection import ListSource
from core.spreadsheets import Cell, Column, Format
from core.web.listing import ListSpec, SortKey
from modules.distribution import paper

SPEC = ListSpec(
    identity=Document.id,
    sorts=(
        SortKey("date", N_("Date"), Document.date, lambda row: row.date, descending=True),
        SortKey("number", N_("Number"), Document.number, lambda row: row.number, descending=True),
    ),
    search=lambda text: found_in(text, Document.number, partner_named(Document.partner_id)),
)


def _cells(rows: Sequence[Document]) -> Iterator[Sequence[Cell]]:
    for row in rows:
        partner = row.partner
        yield [
            row.number,
            gettext(kind_title(row.kind)),
            customer_of(partner).name if partner is not None else "",
            partner.zip_code if partner is not None else "",
            partner.city if partner is not None else "",
            row.date,
            row.company.name,
        ]


def to_print(user: User) -> ListSource[Document]:
    """Return the list of what waits to be printed."""
    columns = [
        Column(gettext("Number"), width=20),
        Column(gettext("Document")),
        Column(gettext("Customer"), width=32),
        Column(gettext("Postal code"), width=12),
        Column(gettext("City")),
        Column(gettext("Date"), Format.DATE, 12),
        Column(gettext("Company"), width=24),
    ]
    return ListSource(paper.waiting(user), SPEC, columns, _cells)
