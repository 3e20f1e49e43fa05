"""The recipients of a mail about a document, each with its reason: followers, the template's rules, known addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from flask_babel import gettext
from sqlalchemy import func, select

from core.auth.models import User
from core.auth.permissions import colleagues
from core.db import db
from core.documents.distribution import Wish
from core.documents.following import mailable_followers
from core.documents.models import Document
from core.followers.models import Follower, FollowReason
from core.followers.service import followers_of
from core.mail.addresses import Address, InvalidAddressError, normalize, parse_address
from core.mail.draft import DraftRecipient, Reason, RecipientField
from core.partners.labels import LabelKind
from core.partners.models import Partner, PartnerType
from core.partners.service import customer_of, people_at
from core.registry import current_registry
from modules.mail_config.models import MailTemplate, RecipientRule, TemplateRecipient
from modules.outbox.compose.around import Around, around

TYPE_REASONS = {
    PartnerType.CUSTOMER: Reason.CUSTOMER,
    PartnerType.BILLING: Reason.BILLING,
    PartnerType.DELIVERY: Reason.DELIVERY,
    PartnerType.CONTACT: Reason.CONTACT,
}
"""Why a partner of a type is among the recipients."""
MAX_CHOICES = 50
"""Contacts that are offered beside; the others are found by typing, and in the address book."""


@dataclass(slots=True)
class Proposal:
    """The recipients that a draft begins with, and who else was considered.

    Attributes:
        recipients: In order, each address once.
        left_out: Who a rule names but somebody has removed from the followers.
        choices: Other addresses of the customer, to choose from.
        without_address: Names of those who have no address, or none that is valid.
        skipped: Followers by mail who may not get it any more, each with why.
    """

    recipients: list[DraftRecipient] = field(default_factory=list)
    left_out: list[DraftRecipient] = field(default_factory=list)
    choices: list[DraftRecipient] = field(default_factory=list)
    without_address: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """The addresses of the recipients, in the spelling by which addresses are compared."""
        return {recipient.address.key for recipient in self.recipients}

    def add(self, recipient: DraftRecipient, *, removed: bool = False) -> None:
        """Add somebody, unless the address is there already."""
        there = self.left_out if removed else self.recipients
        if recipient.address.key not in self.keys | {other.address.key for other in self.left_out}:
            there.append(recipient)


def default_recipients(
    document: Document, template: MailTemplate | None, user: User | None, known: Around | None = None
) -> Proposal:
    """Return who a mail about a document goes to by default.

    The rules of the template say who, the followers where it has none; but who at the customer gets it, a rule of
    distribution says where one applies. What is a bill goes to the billing contacts of a customer who has any.
    Somebody who was removed from the followers gets nothing, whatever a rule says. A customer without an address of its
    own is reached by the one address that its contacts have; where they have several, a person chooses.

    Args:
        document: The document.
        template: The template, or None for the followers.
        user: Who writes; never a recipient because of following.
        known: What is around the document, where the caller has asked for many at once.
    """
    proposal = Proposal()
    known = known or around(document)
    customer, contacts, followers, wish = known.customer, known.contacts, known.followers, known.wish
    removed = known.removed_keys
    rules: Sequence[TemplateRecipient] = template.recipients if template is not None else ()
    agreed = wish is not None and wish.by_mail
    if wish is not None and agreed:
        _add_agreed(proposal, wish, removed)
    for rule in rules or (
        TemplateRecipient(rule=RecipientRule.FOLLOWERS, field=RecipientField.TO, value=""),
    ):
        if rule.rule is RecipientRule.FOLLOWERS:
            billing = _billing(document, customer, contacts, rule.field, removed)
            _add_followers(proposal, document, followers, user, rule.field, billing, but_customer=agreed)
        elif rule.rule is RecipientRule.FIXED:
            _add_fixed(proposal, rule, template, removed)
        elif agreed and rule.field is RecipientField.TO:
            continue
        elif document.partner is not None and customer is not None:
            named = _named_by(rule, document.partner, contacts, document.kind)
            for partner in named:
                recipient = recipient_of(partner, rule.field, _reason_of(rule, partner))
                if recipient is None:
                    _name_missing(proposal, partner.name, partner.email)
                else:
                    proposal.add(recipient, removed=recipient.address.key in removed)
    if customer is not None:
        _offer_others(proposal, document.partner or customer, [customer, *contacts[:MAX_CHOICES]], removed)
    return proposal


def _add_agreed(proposal: Proposal, wish: Wish, removed: Collection[str]) -> None:
    """Add those whom a rule of distribution names, and say whom it cannot reach."""
    for partner, code in wish.recipients:
        reason = Reason.FUNCTION if code else None
        recipient = recipient_of(partner, RecipientField.TO, reason)
        if recipient is None:
            _name_missing(proposal, partner.name, partner.email)
            continue
        named = replace(recipient, reason_detail=code) if code else recipient
        proposal.add(named, removed=named.address.key in removed)
    for words in wish.missing:
        _name_missing(proposal, words.rstrip("."), "")


def _name_missing(proposal: Proposal, name: str, email: str) -> None:
    words = f"{name} ({email})" if email else name
    if words not in proposal.without_address:
        proposal.without_address.append(words)


def _add_followers(
    proposal: Proposal,
    document: Document,
    followers: Sequence[Follower],
    user: User | None,
    where: RecipientField,
    billing: Sequence[DraftRecipient],
    *,
    but_customer: bool,
) -> None:
    mailable, skipped = mailable_followers(document, followers)
    for follower in skipped:
        proposal.skipped.append((follower.name, _why_skipped(follower)))
    for follower in mailable:
        # Whoever writes has the mail in the outbox; a copy for oneself is typed.
        if user is not None and follower.user_id == user.id:
            continue
        if follower.reason is FollowReason.CUSTOMER and (but_customer or billing):
            for contact in () if but_customer else billing:
                proposal.add(contact)
            continue
        recipient = _following(follower, where)
        if recipient is None:
            _name_missing(proposal, follower.name, follower.email)
        else:
            proposal.add(recipient)


def _billing(
    document: Document,
    customer: Partner | None,
    contacts: Iterable[Partner],
    where: RecipientField,
    removed: Collection[str],
) -> list[DraftRecipient]:
    """Return the billing contacts that get a document in place of its customer; none for what is no bill."""
    kind = current_registry().kinds.get(document.kind)
    # Made out to a contact, it goes to that one.
    if kind is None or not kind.billed or customer is None or document.partner_id != customer.id:
        return []
    found = (recipient_of(one, where, Reason.BILLING) for one in contacts if one.type is PartnerType.BILLING)
    return [one for one in found if one is not None and one.address.key not in removed]


def _why_skipped(follower: Follower) -> str:
    if follower.user is None:
        return str(gettext("the contact is archived"))
    if not follower.user.active:
        return str(gettext("the colleague is deactivated"))
    return str(gettext("the colleague may not read this document"))


def _following(follower: Follower, where: RecipientField) -> DraftRecipient | None:
    address = _address(follower.email, follower.name)
    if address is None:
        return None
    is_customer = follower.reason is FollowReason.CUSTOMER
    return DraftRecipient(
        address,
        where,
        Reason.CUSTOMER if is_customer else Reason.FOLLOWER,
        "" if is_customer or follower.added_by is None else follower.added_by.name,
        follower.partner_id,
    )


def _add_fixed(
    proposal: Proposal, rule: TemplateRecipient, template: MailTemplate | None, removed: Collection[str]
) -> None:
    try:
        address = parse_address(rule.value)
    except InvalidAddressError:
        _name_missing(proposal, rule.value, "")
        return
    recipient = DraftRecipient(address, rule.field, Reason.FIXED, template.name if template else "")
    proposal.add(recipient, removed=address.key in removed)


def _named_by(
    rule: TemplateRecipient, partner: Partner, contacts: Iterable[Partner], kind: str
) -> list[Partner]:
    match rule.rule:
        case RecipientRule.CUSTOMER:
            return [partner]
        case RecipientRule.BILLING:
            return [contact for contact in contacts if contact.type is PartnerType.BILLING]
        case RecipientRule.DELIVERY:
            return [contact for contact in contacts if contact.type is PartnerType.DELIVERY]
        case RecipientRule.MAIN:
            return [contact for contact in contacts if contact.is_main]
        case RecipientRule.FUNCTION:
            wanted = rule.value.strip().casefold()
            return [contact for contact in contacts if wanted and _has_function(contact, wanted, kind)]
        case _:
            return []


def _has_function(contact: Partner, wanted: str, kind: str) -> bool:
    """Return True for a contact with a function of that name, or with that function code for the kind."""
    return contact.function.strip().casefold() == wanted or any(
        label.code.casefold() == wanted and label.serves(kind)
        for label in contact.labeled(LabelKind.FUNCTION)
    )


def _reason_of(rule: TemplateRecipient, partner: Partner) -> Reason:
    match rule.rule:
        case RecipientRule.MAIN:
            return Reason.MAIN
        case RecipientRule.FUNCTION:
            return Reason.FUNCTION
        case _:
            return reason_for(partner)


def reason_for(partner: Partner) -> Reason:
    """Return why a customer or contact is among the recipients, by what it is."""
    if partner.parent_id is not None and partner.type is PartnerType.CUSTOMER:
        return Reason.CONTACT  # a contact that nobody has given a type
    return TYPE_REASONS[partner.type]


def _offer_others(
    proposal: Proposal, partner: Partner, people: Iterable[Partner], removed: Collection[str]
) -> None:
    """Offer the other addresses of a customer; the only one there is, is simply taken."""
    others: list[DraftRecipient] = []
    there = proposal.keys | {recipient.address.key for recipient in proposal.left_out}
    for person in people:
        recipient = recipient_of(person)
        if recipient is not None and recipient.address.key not in there:
            there.add(recipient.address.key)
            others.append(recipient)
    customer_is_missing = not partner.email and partner.name in proposal.without_address
    # With several it is a choice between people, and choices are for persons.
    if customer_is_missing and len(others) == 1 and others[0].address.key not in removed:
        proposal.recipients.insert(0, others[0])
        proposal.without_address.remove(partner.name)
    else:
        proposal.choices = others


def recipient_of(
    partner: Partner, where: RecipientField = RecipientField.TO, reason: Reason | None = None
) -> DraftRecipient | None:
    """Return a customer or contact as a recipient, or None without a valid address."""
    address = _address(partner.email, partner.name)
    if address is None:
        return None
    reason = reason or (Reason.MAIN if partner.is_main else reason_for(partner))
    detail = partner.function if reason in {Reason.FUNCTION, Reason.CONTACT} else ""
    return DraftRecipient(address, where, reason, detail, partner.id)


def _address(email: str, name: str) -> Address | None:
    try:
        return Address(normalize(email), name) if email else None
    except InvalidAddressError:
        return None


def recognize(
    addresses: Collection[tuple[Address, RecipientField]],
    document: Document | None,
    proposal: Proposal,
    user: User | None,
) -> list[DraftRecipient]:
    """Return posted addresses as recipients, each with the reason why it is there.

    Those of the proposal keep theirs; then come followers and contacts of the customer, colleagues, and other
    customers and contacts; what nobody has is called typed.

    Args:
        addresses: The addresses, and where each stands.
        document: The document, or None where it is gone.
        proposal: Who would get the mail by default.
        user: Who writes: nobody is named whom they do not reach. None for the installation itself.
    """
    known = _known_around(document, proposal)
    unknown = {address.key for address, _field in addresses} - known.keys()
    spelled = [address.addr_spec for address, _field in addresses if address.key in unknown]
    strangers = people_at(spelled, user)
    colleagues = _colleagues_at({*unknown, *(spelling.lower() for spelling in spelled)}, user)
    found: list[DraftRecipient] = []
    for address, where in addresses:
        base = known.get(address.key) or colleagues.get(address.key)
        if base is None and address.key in strangers:
            # An address that several customers share says nothing of which of them is meant.
            base = recipient_of(strangers[address.key][0]) if len(strangers[address.key]) == 1 else None
            if base is not None:
                owner = customer_of(strangers[address.key][0])
                base = replace(base, reason=Reason.CONTACT, reason_detail=owner.name)
        found.append(
            DraftRecipient(address, where)
            if base is None
            else DraftRecipient(address, where, base.reason, base.reason_detail, base.partner_id)
        )
    return found


def _known_around(document: Document | None, proposal: Proposal) -> dict[str, DraftRecipient]:
    known: dict[str, DraftRecipient] = {}
    for recipient in (*proposal.recipients, *proposal.left_out, *proposal.choices):
        known.setdefault(recipient.address.key, recipient)
    if document is not None:
        for follower in followers_of(document.id):
            recipient_or_none = _following(follower, RecipientField.TO)
            if recipient_or_none is not None:
                known.setdefault(recipient_or_none.address.key, recipient_or_none)
    return known


def _colleagues_at(keys: Collection[str], user: User | None) -> dict[str, DraftRecipient]:
    if not keys:
        return {}
    query = select(User).where(User.active, func.lower(User.login).in_(keys))
    rows = db.session.scalars(query.where(colleagues(user)) if user is not None else query)
    return {
        row.login.casefold(): DraftRecipient(Address(row.login, row.name), reason=Reason.COLLEAGUE)
        for row in rows
    }


def reason_text(reason: Reason, detail: str) -> str:
    """Return in words why somebody is among the recipients."""
    match reason:
        case Reason.FOLLOWER if detail:
            return str(gettext("follower, added by %(name)s", name=detail))
        case Reason.FUNCTION if detail:
            return str(gettext("contact, %(function)s", function=detail))
        case Reason.FIXED if detail:
            return str(gettext("named by the template “%(name)s”", name=gettext(detail)))
        case Reason.CONTACT if detail:
            return str(gettext("contact, %(function)s", function=detail))
    words = {
        Reason.CUSTOMER: gettext("customer"),
        Reason.FOLLOWER: gettext("follower"),
        Reason.BILLING: gettext("billing contact"),
        Reason.DELIVERY: gettext("delivery contact"),
        Reason.MAIN: gettext("main contact"),
        Reason.CONTACT: gettext("contact"),
        Reason.FUNCTION: gettext("contact"),
        Reason.COLLEAGUE: gettext("colleague"),
        Reason.FIXED: gettext("named by the template"),
        Reason.ANSWERED: gettext("has written to you"),
        Reason.TYPED: gettext("typed"),
    }
    return str(words[reason])


REASON_ICONS = {
    Reason.CUSTOMER: "building",
    Reason.FOLLOWER: "eye",
    Reason.BILLING: "receipt",
    Reason.DELIVERY: "truck",
    Reason.MAIN: "star",
    Reason.CONTACT: "person",
    Reason.FUNCTION: "person-badge",
    Reason.COLLEAGUE: "person-workspace",
    Reason.FIXED: "pin-angle",
    Reason.ANSWERED: "reply",
    Reason.TYPED: "keyboard",
}
