"""The one rule about rules: which applies to a document, what follows, and why. No I/O: it is told everything.

A customer's own rule comes before that of a tag, of the family, and of everybody; among these, the one of the kind
before the one of all kinds; then the older one. Only one applies: rules are not added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flask_babel import gettext, ngettext

from core.partners.labels import LabelKind, PartnerLabel
from core.partners.models import Partner
from modules.distribution.models import Rule, Way


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rule is told.

    Attributes:
        kind: The kind of the document.
        kind_title: It in words.
        customer: Whose document it is, or None for a walk-in customer.
        contacts: The active contacts of the customer, the main contact first.
        rules: Rules of the company, whatever they are for.
        codes: The function codes there are.
        archive_problem: Why nothing can be archived here, or "".
    """

    kind: str
    kind_title: str
    customer: Partner | None
    contacts: Sequence[Partner] = ()
    rules: Sequence[Rule] = ()
    codes: Mapping[str, PartnerLabel] = field(default_factory=dict)
    archive_problem: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows for a document.

    Attributes:
        rule: The rule that applies, or None.
        ways: How it goes.
        recipients: Who gets the mail, each with the function code for which, or "".
        why: Sentences that explain it, which rule first.
        missing: Whom the mail should reach and cannot: sentences.
        problems: Other things that keep it from going as the rule says: sentences.
    """

    rule: Rule | None
    ways: tuple[Way, ...] = ()
    recipients: tuple[tuple[Partner, str], ...] = ()
    why: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def decide(facts: Facts) -> Decision:
    """Choose the rule of a document, and say what follows and why in the current language."""
    customer = facts.customer
    if customer is None:
        return Decision(None, why=(gettext("Without a customer no rule applies."),))
    ranked = [(rank, rule) for rule in facts.rules if (rank := _rank(rule, customer, facts.kind)) is not None]
    if not ranked:
        return Decision(None, why=(gettext("No rule applies: it goes as whoever sends it decides."),))
    ranked.sort(key=lambda pair: pair[0])
    rule = ranked[0][1]
    found = list(_mailed(rule, facts, customer))
    recipients: dict[Partner, str] = {}
    for one in found:
        if not isinstance(one, str):
            recipients.setdefault(*one)
    wanted = {Way.MAIL: rule.mailed, Way.PAPER: rule.on_paper, Way.ARCHIVE: rule.archived}
    problems = [] if customer.active else [gettext("%(name)s is archived.", name=customer.name)]
    if (rule.archived or rule.archive_sent) and facts.archive_problem:
        problems.append(facts.archive_problem)
    return Decision(
        rule,
        tuple(way for way, goes in wanted.items() if goes),
        tuple(recipients.items()),
        (_which(rule, facts), *_more_general(len(ranked) - 1), *_ways(rule, recipients)),
        tuple(one for one in found if isinstance(one, str)),
        tuple(problems),
    )


def _more_general(others: int) -> Iterator[str]:
    if others:
        yield ngettext(
            "It is more particular than %(num)d other that would apply.",
            "It is more particular than %(num)d others that would apply.",
            others,
        )


def _ways(rule: Rule, recipients: Mapping[Partner, str]) -> Iterator[str]:
    """Return the ways in words."""
    for partner, code in recipients.items():
        yield (
            gettext("By email to %(name)s (%(code)s).", name=partner.name, code=code)
            if code
            else gettext("By email to %(name)s.", name=partner.name)
        )
    if rule.on_paper and rule.mailed:
        yield gettext("On paper.")
    elif rule.on_paper:
        yield gettext("On paper, and not by email unless a person wants it.")
    if rule.archived:
        yield gettext("To the archive.")
    if rule.archive_sent:
        yield gettext("The PDF of each email to the archive.")


def _rank(rule: Rule, customer: Partner, kind: str) -> tuple[int, bool, int] | None:
    """Return how particular a rule is, the most particular first, or None where it does not apply."""
    if not rule.active or rule.kind not in {"", kind}:
        return None
    if rule.partner_id is not None:
        place = 0 if rule.partner_id == customer.id else None
    elif rule.label_id is not None:
        tagged = rule.label_id in {label.id for label in customer.labels if label.kind is LabelKind.TAG}
        place = 1 if tagged else 2 if rule.label_id == customer.family_id else None
    else:
        place = 3
    return None if place is None else (place, not rule.kind, rule.id)


def _which(rule: Rule, facts: Facts) -> str:
    if rule.partner is not None:
        whose = gettext("The rule of this customer")
    elif rule.label is not None:
        whose = gettext("The rule for “%(label)s”", label=rule.label.title)
    else:
        whose = gettext("The rule for all customers")
    what = facts.kind_title if rule.kind else gettext("all kinds of documents")
    return str(gettext("%(whose)s applies (%(what)s).", whose=whose, what=what))


def _mailed(rule: Rule, facts: Facts, customer: Partner) -> Iterator[tuple[Partner, str] | str]:
    """Return who gets the mail, and in a sentence whom it cannot reach."""
    if rule.to_main:
        main = next((contact for contact in facts.contacts if contact.is_main), customer)
        if main.email:
            yield main, ""
        else:
            yield gettext("%(name)s has no email address.", name=main.name)
    for code in rule.function_codes:
        yield from _with_code(code, facts, customer)


def _with_code(code: str, facts: Facts, customer: Partner) -> Iterator[tuple[Partner, str] | str]:
    label = facts.codes.get(code)
    if label is None:
        yield gettext("There is no function code %(code)s any more.", code=code)
        return
    if not label.serves(facts.kind):
        yield gettext(
            "The function code %(code)s is not meant for this kind of document (%(kind)s).",
            code=code,
            kind=facts.kind_title,
        )
        return
    named = [
        contact
        for contact in facts.contacts
        if any(other.kind is LabelKind.FUNCTION and other.code == code for other in contact.labels)
    ]
    if not named:
        yield gettext("No contact of %(name)s has the function code %(code)s.", name=customer.name, code=code)
    for contact in named:
        if contact.email:
            yield contact, code
        else:
            yield gettext("%(name)s has no email address.", name=contact.name)
