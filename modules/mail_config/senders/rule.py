"""The one rule by which a mail leaves: its From, its Reply-To, its server, and why. No I/O: it is told everything.

It asks in this order: what the mail is for (only what a person has written may be from an own address), who sends, the
company, which servers may send from that address, their priority, and how they fare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flask_babel import gettext

from core.auth.models import User
from core.companies.models import Company
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.mail.draft import Purpose
from core.mail.explanations import EXPLANATIONS
from core.mail.outcomes import FailureKind
from modules.mail_config.models import CompanySender, MailServer, UserSender

PURPOSES: Mapping[Purpose, object] = {
    Purpose.SINGLE: _l("Single emails"),
    Purpose.BATCH: _l("Batches"),
    Purpose.RECEIPT: _l("Till receipts"),
    Purpose.ALERT: _l("Alerts"),
}
"""The purposes in words, in the order of the matrix."""


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a mail.

    Attributes:
        server_id: The server it leaves by, or None when there is none that may send it.
        server_name: The server's name, or "".
        header_from: Who the mail is from.
        reply_to: Where answers go, or None for the sender.
        why: Sentences that explain the choice.
        problem: Why it cannot leave now, or None.
        rewritten: The sentence which says that From is not the address that was wanted, and why; or "".
    """

    server_id: int | None
    server_name: str
    header_from: Address
    reply_to: Address | None
    why: tuple[str, ...]
    problem: FailureKind | None = None
    rewritten: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rule is told.

    Attributes:
        company: Who issues the document.
        purpose: What the mail is for.
        user: Who sends, or None for the application.
        own: The user's own sender, or None.
        company_sender: What is set up for this company and purpose, or None.
        servers: The active servers: the company's, those for all, and the user's own; in any order.
        paused: Why servers are paused, by their ids.
        reply_to: Where answers are to go by the template or the person, or None.
        fixed: The From that an earlier attempt has fixed, or None.
    """

    company: Company
    purpose: Purpose
    user: User | None = None
    own: UserSender | None = None
    company_sender: CompanySender | None = None
    servers: Sequence[MailServer] = ()
    paused: Mapping[int, FailureKind | None] = field(default_factory=dict)
    reply_to: Address | None = None
    fixed: Address | None = None

    @property
    def person(self) -> UserSender | None:
        """The own sender, where it counts for this mail."""
        counts = self.purpose is Purpose.SINGLE and self.user is not None and self.user.active
        return self.own if counts else None

    @property
    def company_from(self) -> Address:
        """The address of the company for this purpose."""
        row = self.company_sender
        return Address(
            (row.address if row else "") or self.company.email, (row.name if row else "") or self.company.name
        )

    @property
    def wanted(self) -> Address:
        """Who the mail should be from."""
        if self.person is None:
            return self.company_from
        return Address(self.person.address, self.person.name or self.person.user.name)


@dataclass(frozen=True, slots=True)
class _Option:
    """A server that may send the mail, and the From that it would have by it."""

    server: MailServer
    header_from: Address
    rank: tuple[object, ...]


def decide(facts: Facts) -> Route:
    """Choose server, From and Reply-To of a mail, and say why in the current language."""
    options = sorted(_options(facts), key=lambda option: option.rank)
    if not options:
        return _without_server(facts)
    ready = [option for option in options if option.server.ready]
    chosen = next((option for option in ready if option.server.id not in facts.paused), (ready or options)[0])
    server, header_from = chosen.server, chosen.header_from
    reply_to, answers = _answers(facts, header_from)
    rewritten = _rewritten(facts, chosen)
    problem = _problem(facts, server)
    why = [*_not_as_wanted(facts), rewritten or _about_from(facts, header_from), *answers]
    why.append(_about_server(facts, server))
    if chosen is not options[0] and problem is None:
        why.append(_passed_over(facts, options[0].server))
    return Route(server.id, server.name, header_from, reply_to, tuple(why), problem, rewritten)


def _problem(facts: Facts, server: MailServer) -> FailureKind | None:
    if not server.ready:
        return FailureKind.SERVER_UNTESTED
    # A pause without a kind is one that nobody has given a reason for.
    return (facts.paused[server.id] or FailureKind.SERVER_ERROR) if server.id in facts.paused else None


def _without_server(facts: Facts) -> Route:
    header_from = facts.fixed or facts.wanted
    reply_to, answers = _answers(facts, header_from)
    if not header_from.addr_spec:
        why = [gettext("%(company)s has no email address to send from.", company=facts.company.name)]
        return Route(None, "", header_from, reply_to, tuple(why), FailureKind.SENDER_MISSING)
    why = [*_not_as_wanted(facts), _about_from(facts, header_from), *answers]
    why.append(gettext("No active mail server may send from %(address)s.", address=header_from.addr_spec))
    return Route(None, "", header_from, reply_to, tuple(why), FailureKind.SERVER_MISSING)


# -- which servers may send it -------------------------------------------------------------------------


def _options(facts: Facts) -> Iterator[_Option]:
    pinned = facts.company_sender.server_id if facts.company_sender else None
    for server in facts.servers:
        header_from = (
            _from_by(facts, server) if facts.fixed is None else _fixed_by(facts, server, facts.fixed)
        )
        if header_from is None:
            continue
        yield _Option(
            server,
            header_from,
            (
                server.owner_id is None,
                server.id != pinned,
                server.relay,
                header_from != facts.wanted,
                server.company_id is None,
                server.priority,
                server.id,
            ),
        )


def _from_by(facts: Facts, server: MailServer) -> Address | None:
    """Return the From of a mail that leaves by a server, or None where it may not."""
    wanted, person = facts.wanted, facts.person
    if server.owner_id is not None:
        mine = person is not None and person.own_server and server.owner_id == person.user_id
        return wanted if mine and server.accepts(wanted.addr_spec) else None
    if server.relay:
        return Address(server.own_address, wanted.display_name) if server.own_address else None
    may = bool(wanted.addr_spec) and server.accepts(wanted.addr_spec)
    if may and (person is None or person.allowed):
        return wanted
    if person is None:
        return Address(server.own_address, wanted.display_name) if server.own_address else None
    of_company = facts.company_from.addr_spec
    address = server.own_address or (of_company if of_company and server.accepts(of_company) else "")
    if not address:
        return None
    via = gettext(
        "%(user)s via %(company)s", user=wanted.display_name, company=facts.company_from.display_name
    )
    return Address(address, via)


def _fixed_by(facts: Facts, server: MailServer, fixed: Address) -> Address | None:
    """Return the From that an earlier attempt has fixed, or None where a server may not send from it.

    What the company or a person would write from by now says nothing about it.
    """
    own, person = facts.own, facts.person
    if server.owner_id is not None:
        may = person is not None and person.own_server and server.owner_id == person.user_id
    elif server.own_address and Address(server.own_address).key == fixed.key:
        return fixed
    else:
        unallowed = own is not None and not own.allowed and Address(own.address).key == fixed.key
        may = not server.relay and not unallowed
    return fixed if may and server.accepts(fixed.addr_spec) else None


# -- where answers go ----------------------------------------------------------------------------------


def _answers(facts: Facts, header_from: Address) -> tuple[Address | None, list[str]]:
    """Return where answers go, with the sentence that says so."""
    row, user = facts.company_sender, facts.user
    if facts.reply_to is not None:
        answer = facts.reply_to
        words = gettext("Answers go to %(address)s.", address=answer.addr_spec)
    elif facts.person is not None:
        answer = facts.wanted
        words = gettext("Answers go to %(address)s.", address=answer.addr_spec)
    elif row is not None and row.reply_to:
        answer = Address(row.reply_to)
        words = gettext("Answers go to %(address)s, as is set for this purpose.", address=answer.addr_spec)
    elif user is not None and facts.purpose is not Purpose.RECEIPT:
        answer = Address(user.login, user.name)
        words = gettext("Answers go to %(name)s, who sends.", name=user.name or user.login)
    elif facts.wanted.addr_spec:
        answer = facts.wanted
        words = gettext("Answers go to %(address)s.", address=answer.addr_spec)
    else:
        return None, []
    return (None, []) if answer.key == header_from.key else (answer, [words])


# -- why -----------------------------------------------------------------------------------------------


def _not_as_wanted(facts: Facts) -> Iterator[str]:
    name = facts.user.name if facts.user is not None else ""
    if facts.own is not None and facts.person is None:
        yield (
            gettext("%(name)s may no longer sign in, so the own address and server are not used.", name=name)
            if facts.user is not None and not facts.user.active
            else gettext("The own address of %(name)s is used for single emails only.", name=name)
        )


def _about_from(facts: Facts, header_from: Address) -> str:
    """Return why From is what it is, where no server has it otherwise."""
    if facts.fixed is not None:
        return str(
            gettext(
                "From: %(address)s, fixed by an earlier attempt, since every attempt sends the same message.",
                address=header_from.addr_spec,
            )
        )
    if facts.person is not None:
        name = facts.user.name if facts.user is not None else ""
        return str(gettext("From: the own address of %(name)s.", name=name))
    if facts.company_sender is not None and (facts.company_sender.address or facts.company_sender.name):
        return str(
            gettext(
                "From: what %(company)s has set for this purpose (%(purpose)s).",
                company=facts.company.name,
                purpose=PURPOSES[facts.purpose],
            )
        )
    return str(gettext("From: the address of %(company)s.", company=facts.company.name))


def _rewritten(facts: Facts, chosen: _Option) -> str:
    wanted, server = facts.wanted, chosen.server
    if chosen.header_from.key == wanted.key or facts.fixed is not None:
        return ""
    values = {"server": server.name, "address": wanted.addr_spec, "sender": chosen.header_from.addr_spec}
    if server.relay:
        return str(
            gettext(
                "“%(server)s” is the shared relay: From is its address %(sender)s with the name “%(name)s”.",
                name=chosen.header_from.display_name,
                **values,
            )
        )
    if facts.person is not None and not facts.person.allowed:
        return str(
            gettext(
                "An administrator has not yet allowed %(address)s, so From is %(sender)s with the name “%(name)s”.",
                name=chosen.header_from.display_name,
                **values,
            )
        )
    return str(
        gettext(
            "“%(server)s” may not send from %(address)s, so From is %(sender)s with the name “%(name)s”.",
            name=chosen.header_from.display_name,
            **values,
        )
    )


def _about_server(facts: Facts, server: MailServer) -> str:
    if server.owner_id is not None:
        return str(gettext("Server “%(name)s”: the own one of who sends.", name=server.name))
    if facts.company_sender is not None and facts.company_sender.server_id == server.id:
        return str(gettext("Server “%(name)s”: the one that is set for this purpose.", name=server.name))
    if server.relay:
        return str(gettext("Server “%(name)s”: there is no other that may send this.", name=server.name))
    return str(
        gettext(
            "Server “%(name)s”: the first by priority whose From filter takes this address.", name=server.name
        )
    )


def _passed_over(facts: Facts, first: MailServer) -> str:
    if not first.ready:
        return str(gettext("“%(name)s” would come first, but has not passed its test.", name=first.name))
    kind = facts.paused.get(first.id)
    return str(
        gettext(
            "“%(name)s” would come first, but is paused (%(reason)s); another stands in for it.",
            name=first.name,
            reason=EXPLANATIONS[kind].title if kind else "–",
        )
    )
