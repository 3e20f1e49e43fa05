"""Which rule applies, and what follows: the table of cases, without a database."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from core.partners.labels import LabelKind, PartnerLabel
from core.partners.models import Partner
from modules.distribution.models import Rule, Way
from modules.distribution.rule import Decision, Facts, decide

FAMILY = PartnerLabel(id=1, kind=LabelKind.FAMILY, name="Wholesale", code="")
TAG = PartnerLabel(id=2, kind=LabelKind.TAG, name="VIP", code="")
FACT = PartnerLabel(id=3, kind=LabelKind.FUNCTION, name="Invoices", code="FACT", document_kinds=[])
LIV = PartnerLabel(id=4, kind=LabelKind.FUNCTION, name="Goods", code="LIV", document_kinds=["sales.order"])
INVOICE = "sales.invoice"


def _customer(**values: Any) -> Partner:
    base: dict[str, Any] = {"id": 7, "name": "Client", "email": "c@example.com", "active": True}
    return Partner(**{**base, "family_id": 1, "labels": [TAG], **values})


def _contact(number: int, *codes: PartnerLabel, email: str = "x@example.com", main: bool = False) -> Partner:
    return Partner(
        id=number, name=f"Contact {number}", email=email, is_main=main, labels=list(codes), active=True
    )


def _rule(number: int, **values: Any) -> Rule:
    base: dict[str, Any] = {"id": number, "kind": "", "function_codes": [], "active": True}
    return Rule(**{**base, "on_paper": False, "to_main": False, "archived": False, **values})


def _decide(*rules: Rule, contacts: tuple[Partner, ...] = (), **facts: Any) -> Decision:
    facts = {"customer": _customer(), "codes": {"FACT": FACT, "LIV": LIV}, **facts}
    return decide(Facts(INVOICE, "Invoice", contacts=contacts, rules=rules, **facts))


ALL, ALL_KIND = _rule(1, to_main=True), _rule(2, kind=INVOICE, to_main=True)
OF_FAMILY, OF_TAG = (
    _rule(3, label_id=1, label=FAMILY, to_main=True),
    _rule(4, label_id=2, label=TAG, to_main=True),
)
OWN, OWN_KIND = _rule(5, partner_id=7, to_main=True), _rule(6, partner_id=7, kind=INVOICE, to_main=True)


@pytest.mark.parametrize(
    ("rules", "applies"),
    [
        ([ALL, ALL_KIND, OF_FAMILY, OF_TAG, OWN, OWN_KIND], OWN_KIND),
        ([ALL, ALL_KIND, OF_FAMILY, OF_TAG, OWN], OWN),
        ([ALL, ALL_KIND, OF_FAMILY, OF_TAG], OF_TAG),
        ([ALL, ALL_KIND, OF_FAMILY], OF_FAMILY),
        ([ALL, ALL_KIND], ALL_KIND),
        ([ALL, _rule(9, to_main=True)], ALL),  # the older of two that say the same
        ([_rule(8, kind="sales.order", to_main=True)], None),
        ([_rule(8, partner_id=99, to_main=True)], None),
        ([_rule(8, label_id=99, to_main=True)], None),
        ([_rule(8, to_main=True, active=False)], None),
        ([], None),
    ],
)
def test_the_most_particular_rule_applies(app: Flask, rules: list[Rule], applies: Rule | None) -> None:
    with app.test_request_context():
        assert _decide(*reversed(rules)).rule is applies
        assert _decide(*rules).rule is applies


def test_without_a_customer_nothing_applies(app: Flask) -> None:
    with app.test_request_context():
        assert _decide(ALL, customer=None).rule is None


def test_a_mail_goes_to_the_main_contact_and_to_those_with_a_code_each_once(app: Flask) -> None:
    main, anna = _contact(10, FACT, main=True), _contact(11, FACT, LIV)
    with app.test_request_context():
        decision = _decide(_rule(1, to_main=True, function_codes=["FACT"]), contacts=(main, anna))
    assert decision.recipients == ((main, ""), (anna, "FACT"))
    assert decision.ways == (Way.MAIL,)
    assert not decision.missing
    assert decision.why[1:] == ("By email to Contact 10.", "By email to Contact 11 (FACT).")


def test_without_a_main_contact_the_customer_itself_gets_it(app: Flask) -> None:
    with app.test_request_context():
        ((partner, code),) = _decide(ALL, contacts=(_contact(10),)).recipients
        assert (partner.name, code) == ("Client", "")
        assert _decide(ALL, customer=_customer(email="")).missing == ("Client has no email address.",)


@pytest.mark.parametrize(
    ("code", "contacts", "says"),
    [
        ("GONE", (_contact(10, FACT),), "There is no function code GONE any more."),
        (
            "LIV",
            (_contact(10, LIV),),
            "The function code LIV is not meant for this kind of document (Invoice).",
        ),
        ("FACT", (_contact(10),), "No contact of Client has the function code FACT."),
        ("FACT", (_contact(10, FACT, email=""),), "Contact 10 has no email address."),
    ],
)
def test_a_code_that_reaches_nobody_is_told_and_nobody_stands_in(
    app: Flask, code: str, contacts: tuple[Partner, ...], says: str
) -> None:
    with app.test_request_context():
        decision = _decide(_rule(1, function_codes=[code]), contacts=contacts)
    assert decision.missing == (says,)
    assert decision.recipients == ()


def test_an_archived_customer_and_an_archive_that_is_away_are_told(app: Flask) -> None:
    with app.test_request_context():
        decision = _decide(
            _rule(1, archived=True, on_paper=True),
            customer=_customer(active=False),
            archive_problem="The folder of the archive is not there.",
        )
    assert decision.problems == ("Client is archived.", "The folder of the archive is not there.")
    assert decision.ways == (Way.PAPER, Way.ARCHIVE)
