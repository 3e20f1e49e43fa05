"""The lists that the pages of templates offer: fields with samples, documents, functions of contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from core.auth.permissions import signed_in, signed_in_user
from core.db import db
from core.documents.models import Document
from core.documents.service import NEWEST_FIRST, kind_title, readable_by
from core.i18n import N_
from core.matching import found_in
from core.partners.models import Partner
from core.partners.reach import reachable
from core.partners.search_index import partner_named
from core.partners.service import find_partners
from core.web.formats import day
from modules.mail_config.blueprint import blueprint
from modules.mail_config.editor.to_editor import chip
from modules.mail_config.editor.views.writers import for_writers
from modules.mail_config.mail_templates import service
from modules.mail_config.template_language.customer_mail import Subject
from modules.mail_config.template_language.fields import OF_CUSTOMERS
from modules.mail_config.template_language.own_variables import GROUP
from modules.mail_config.template_language.tree import Formula, split_formulas

DOCUMENTS_AT_MOST = 20  # offered for a preview, the newest
LONGEST_FORMULA = 2000  # characters that are asked about
FUNCTIONS_AT_MOST = 100  # offered for a rule about contacts
GROUP_TITLES = {
    "document": N_("Document"),
    "customer": N_("Customer"),
    "contact": N_("Contact"),
    "company": N_("Company"),
    "owner": N_("Salesperson"),
    "sender": N_("Sender"),
    "cashier": N_("Cashier"),
    GROUP: N_("Own variables"),
}


@dataclass(frozen=True, slots=True)
class PickerField:
    """A field as the picker offers it.

    Attributes:
        name: As written in a template.
        title: What a person reads.
        sample: What it would show.
        formula: What is inserted.
        chip: What the editor needs to show it.
    """

    name: str
    title: str
    sample: str
    formula: str
    chip: Mapping[str, str]


def field_groups(kind: str, samples: Mapping[str, str]) -> list[tuple[str, list[PickerField]]]:
    """Return the fields of a kind for the picker, under the titles of their groups."""
    groups: dict[str, list[PickerField]] = {}
    for field in service.catalogue(kind):
        formula = (
            f"{{{{ {field.name} }}}}"  # shown by what it is: amounts with their currency, dates in words
        )
        shown = PickerField(
            field.name,
            str(gettext(field.title)),
            samples.get(field.name, ""),
            formula,
            chip(kind, formula, samples),
        )
        groups.setdefault(field.group, []).append(shown)
    return [
        (str(gettext(GROUP_TITLES[name])) if name in GROUP_TITLES else name, found)
        for name, found in groups.items()
    ]


def functions_in_use() -> list[str]:
    """Return the functions that contacts have, to choose from while typing."""
    # From one function to the next in its index: DISTINCT would read all contacts.
    there = aliased(Partner)
    known = select(func.min(there.function).label("name")).where(there.function > "").cte(recursive=True)
    following = select(func.min(there.function)).where(there.function > known.c.name).scalar_subquery()
    known = known.union_all(select(following).where(known.c.name.is_not(None)))
    within = (Partner.function == known.c.name, Partner.active, reachable(signed_in_user()))
    used = select(known.c.name).where(select(Partner.id).where(*within).correlate(known).exists())
    return list(db.session.scalars(used.limit(FUNCTIONS_AT_MOST)))


@blueprint.get("/templates/documents")
@signed_in
@for_writers
def template_documents() -> ResponseReturnValue:
    """Find documents that the user may read, the newest first: by number or customer, of one kind or of all.

    For templates that are about no document, customers.
    """
    query = select(Document).where(readable_by(signed_in_user()))
    words = request.args.get("q", "").strip()[:100]
    if (kind := request.args.get("kind")) in OF_CUSTOMERS:
        return jsonify(_customers(words))
    order = NEWEST_FIRST if kind else (Document.id.desc(),)
    query = query.order_by(*order)
    if kind:
        query = query.where(Document.kind == kind)
    if words:
        customer = partner_named(Document.partner_id)
        query = query.where(found_in(words, Document.number, customer))
    found = [
        {"value": str(row.id), "text": document_label(row), "detail": document_detail(row)}
        for row in db.session.scalars(query.limit(DOCUMENTS_AT_MOST))
    ]
    if kind and not words:
        found.insert(0, {"value": "0", "text": str(gettext("The newest one")), "detail": ""})
    return jsonify(found)


def _customers(words: str) -> list[dict[str, str]]:
    found = find_partners(words, signed_in_user(), limit=DOCUMENTS_AT_MOST)
    newest = [] if words else [{"value": "0", "text": str(gettext("The newest one")), "detail": ""}]
    return newest + [{"value": str(row.id), "text": row.name, "detail": row.email} for row in found]


@blueprint.get("/templates/chip/<kind>")
@signed_in
@for_writers
def template_chip(kind: str) -> ResponseReturnValue:
    """Return what the editor needs to show a formula; 422 with a sentence for what is none."""
    source = request.args.get("formula", "").strip()
    pieces = split_formulas(source)
    if len(source) > LONGEST_FORMULA or len(pieces) != 1 or not isinstance(pieces[0], Formula):
        words = gettext(
            "A formula stands between double braces, a condition between braces with percent signs."
        )
        return jsonify(error=words), 422
    return jsonify(chip(kind, source, service.samples(kind, None, request.args.get("language", "en"))))


def document_label(document: Subject) -> str:
    """Return how a document, or a customer, is named in a list to choose from."""
    if not isinstance(document, Document):
        return document.partner.name if document.partner is not None else document.company.name
    return f"{kind_title(document.kind)} {document.number or f'#{document.id}'}"


def document_detail(document: Subject) -> str:
    """Return what tells a document apart: customer and date; of a customer, the address."""
    if not isinstance(document, Document):
        return document.partner.email if document.partner is not None else ""
    return " · ".join(
        part for part in (document.partner.name if document.partner else "", day(document.date)) if part
    )
