"""What the rules say of documents: `rule.decide` is told what the database knows, by a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from flask import has_request_context, url_for
from flask_babel import gettext
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload, selectinload

from core.companies.models import Company
from core.db import db
from core.documents.distribution import Wish
from core.documents.models import Document
from core.documents.service import kind_title
from core.partners.labels import LabelKind, PartnerLabel
from core.partners.models import Partner
from core.partners.service import contacts_of_each, customer_of
from modules.distribution import archive
from modules.distribution.models import Rule, Way
from modules.distribution.rule import Decision, Facts, decide

Case = tuple[int, str, Partner | None]
"""A company's id, a kind of documents, a customer."""


def decisions_for(documents: Sequence[Document]) -> dict[int, Decision]:
    """Return what the rules say of documents, by their ids."""
    cases = {document.id: case_of(document) for document in documents}
    return dict(zip(cases, decisions_about(list(cases.values())), strict=True))


def decision_for(document: Document) -> Decision:
    """Return what the rules say of a document."""
    return decisions_about([case_of(document)])[0]


def case_of(document: Document) -> Case:
    """Return what rules ask of a document; a contact's document is its customer's."""
    customer = customer_of(document.partner) if document.partner is not None else None
    return document.company_id, document.kind, customer


def decisions_about(cases: Sequence[Case]) -> list[Decision]:
    """Return what the rules say of each case."""
    rules = _rules_for(cases)
    customers = {customer for _company, _kind, customer in cases if customer is not None} if rules else set()
    contacts = _contacts_of(customers)
    codes = _codes() if rules else {}
    problem = (
        archive.problem()
        if any(rule.archived or rule.archive_sent for found in rules.values() for rule in found)
        else ""
    )
    return [
        decide(
            Facts(
                kind,
                gettext(kind_title(kind)),
                customer,
                contacts.get(customer.id, ()) if customer is not None else (),
                rules.get(company_id, ()),
                codes,
                problem,
            )
        )
        for company_id, kind, customer in cases
    ]


def _rules_for(cases: Iterable[Case]) -> Mapping[int, list[Rule]]:
    """Return the rules that may apply, by company: of single customers only theirs."""
    customers = {customer.id for _company, _kind, customer in cases if customer is not None}
    query = (
        select(Rule)
        .where(
            Rule.company_id.in_({company_id for company_id, _kind, _customer in cases}),
            Rule.active,
            or_(Rule.partner_id.is_(None), Rule.partner_id.in_(customers)),
        )
        .options(joinedload(Rule.partner), joinedload(Rule.label))
    )
    found: dict[int, list[Rule]] = defaultdict(list)
    for row in db.session.scalars(query):
        found[row.company_id].append(row)
    return found


def _contacts_of(customers: Iterable[Partner]) -> Mapping[int, list[Partner]]:
    ids = [customer.id for customer in customers]
    if ids:
        # The tags of all customers at once, else each would ask for its own.
        tagged = select(Partner).where(Partner.id.in_(ids)).options(selectinload(Partner.labels))
        db.session.scalars(tagged).all()
    return contacts_of_each(ids, labels=True)


def _codes() -> dict[str, PartnerLabel]:
    rows = db.session.scalars(select(PartnerLabel).where(PartnerLabel.kind == LabelKind.FUNCTION))
    return {row.code: row for row in rows}


def decisions_by_kind(company: Company, customer: Partner, kinds: Sequence[str]) -> dict[str, Decision]:
    """Return what the rules of a company say of a customer, for each kind of documents."""
    return dict(zip(kinds, decisions_about([(company.id, kind, customer) for kind in kinds]), strict=True))


def wishes_for(documents: Sequence[Document]) -> dict[int, Wish]:
    """Answer `core.signals.document_distribution_asked`."""
    return {
        number: Wish(
            Way.MAIL in decision.ways,
            Way.PAPER in decision.ways,
            decision.recipients,
            decision.missing,
            decision.why[0],
            # A worker shows no page.
            url_for("distribution.document", document_id=number) if has_request_context() else "",
        )
        for number, decision in decisions_for(documents).items()
        if decision.rule is not None
    }
