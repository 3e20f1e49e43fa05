"""What rules mean for emails: who gets them by default, and that a customer who wants paper gets none by mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.followers.service import follow
from core.mail.addresses import parse_address
from core.partners.models import Partner
from core.registry import current_registry
from core.selection import Selection
from core.signals import document_mail_wanted
from modules.distribution.models import Rule
from modules.outbox.compose import actions
from modules.outbox.compose.checks import findings_of
from modules.outbox.compose.recipients import default_recipients
from modules.outbox.limits import Severity
from modules.outbox.models import HeldReason, ItemState, Run, RunItem
from modules.outbox.runs import looking, service

MakeRule = Callable[..., Rule]


def _addresses(document: Document, user: User) -> list[str]:
    return [one.address.addr_spec for one in default_recipients(document, None, user).recipients]


def test_a_rule_says_who_at_the_customer_gets_it(
    app: Flask,
    quotation: Document,
    contact: Partner,
    seller: User,
    rule: MakeRule,
    make_user: Callable[..., User],
) -> None:
    assert _addresses(quotation, seller) == ["client@example.com"]
    rule(function_codes=["FACT"])
    with app.test_request_context():
        assert _addresses(quotation, seller) == ["anna@example.com"]
        (recipient,) = default_recipients(quotation, None, seller).recipients
        assert recipient.reason_detail == "FACT"
        # Whoever was added to the followers gets it as before.
        follow(quotation.id, user_id=make_user("support").id, by=seller, by_mail=True)
        assert _addresses(quotation, seller)[0] == "anna@example.com"
        assert "client@example.com" not in _addresses(quotation, seller)


def test_a_code_without_anybody_holds_the_document_instead_of_writing_to_another(
    app: Flask, quotation: Document, fact: object, seller: User, rule: MakeRule
) -> None:
    rule(function_codes=["FACT"])
    with app.test_request_context():
        proposal = default_recipients(quotation, None, seller)
    assert not proposal.recipients
    assert proposal.without_address == ["No contact of Client SA has the function code FACT"]


def _run(document: Document, by: User) -> Run:
    declared = current_registry().lists["sales.quotations"]
    run = service.prepare(Selection(declared, (document.id,), MultiDict()), by)
    while not looking.look(run.id, 100):
        pass
    return run


def _item(run: Run) -> RunItem:
    db.session.rollback()
    return db.session.query(RunItem).filter_by(run_id=run.id).populate_existing().one()


def test_a_run_holds_what_a_customer_wants_on_paper_and_a_person_may_overrule_it(
    app: Flask, quotation: Document, seller: User, rule: MakeRule
) -> None:
    rule(on_paper=True)
    run = _run(quotation, seller)
    item = _item(run)
    assert (item.state, item.reason) == (ItemState.HELD, HeldReason.WANTS_PAPER)
    assert "The rule for all customers applies" in item.detail
    service.send_anyway(item)
    assert _item(run).state is ItemState.READY


def test_the_composer_asks_before_it_mails_a_customer_who_wants_paper(
    app: Flask, quotation: Document, seller: User, rule: MakeRule
) -> None:
    rule(on_paper=True)
    with app.test_request_context():
        form = actions.open_form(quotation, None, seller)
        found = {one.key: one for one in findings_of(form, actions.route_of(form))}
    assert found["paper"].severity is Severity.ASK
    assert found["paper"].repair_url == f"/distribution/documents/{quotation.id}"


def test_paper_and_mail_together_is_no_mistake(
    app: Flask, quotation: Document, seller: User, rule: MakeRule
) -> None:
    rule(on_paper=True, to_main=True)
    assert _item(_run(quotation, seller)).state is ItemState.READY


def test_nothing_mails_by_itself_what_is_wanted_on_paper(
    app: Flask, quotation: Document, seller: User, rule: MakeRule
) -> None:
    rule(on_paper=True)
    ask = {"by": seller, "private": False, "keep_days": None}
    with pytest.raises(UserError, match="on paper"):
        document_mail_wanted.send(quotation, addresses=(), **ask)
    # An address that somebody has typed at the till is a person's wish.
    document_mail_wanted.send(quotation, addresses=(parse_address("typed@example.com"),), **ask)
