"""SPF: do receivers learn which servers may send?"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask_babel import gettext, ngettext

from modules.mail_config.domains import spf
from modules.mail_config.domains.findings import Finding, Record, Topic, Verdict, told_nothing
from modules.mail_config.domains.senders import SendingServer
from modules.mail_config.transports.name_service import Names, NameServiceError


@dataclass(slots=True)
class SpfLook:
    """What was found for a domain of envelopes.

    Attributes:
        finding: In words.
        named: By the name of a server, whether the record lets it send; None where that cannot be known from here.
    """

    finding: Finding
    named: dict[str, bool | None] = field(default_factory=dict)


def public_addresses(names: Names, host: str) -> list[str]:
    """Return the addresses of a host that the world sees; none where it is spoken to inside.

    Raises:
        NameServiceError: The DNS has told nothing.
    """
    try:
        addresses = [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        addresses = names.addresses(host) if "." in host else []
    return [address for address in addresses if ipaddress.ip_address(address).is_global]


def look_at_spf(names: Names, domain: str, servers: Sequence[SendingServer]) -> SpfLook:
    """Look whether a domain lets the servers send whose envelopes are from it."""
    try:
        found = spf.read(names, domain)
    except NameServiceError as error:
        return SpfLook(told_nothing(Topic.SPF, domain, error), {server.name: None for server in servers})
    named: dict[str, bool | None] = {}
    needed: list[str] = []
    for server in servers:
        allowed, term = _allowed(names, found, server)
        # Receivers take nothing of a record that is wrong, whatever it says.
        named[server.name] = allowed if found.usable else False
        if term and not allowed:
            needed.append(term)
    return SpfLook(_finding(found, servers, named, needed), named)


def _allowed(names: Names, found: spf.Spf, server: SendingServer) -> tuple[bool | None, str]:
    """Tell whether a record lets a server send, and the term by which it would."""
    if server.provider is not None and server.provider.spf:
        include = server.provider.spf
        known = include in found.includes or (None if found.unread or found.unreached else False)
        return known, f"include:{include}"
    if server.provider is not None or not server.host:
        return (True, "") if found.everybody else (None, "")
    try:
        addresses = public_addresses(names, server.host)
    except NameServiceError:
        addresses = []
    if not addresses:
        return None, ""
    if found.everybody or all(found.allows(address) for address in addresses):
        return True, ""
    terms = [f"ip{ipaddress.ip_address(one).version}:{one}" for one in addresses if not found.allows(one)]
    literal = server.host.strip("[]") in addresses
    term = " ".join(terms) if literal or len(terms) < len(addresses) else f"a:{server.host.lower()}"
    return (None if found.unread or found.unreached else False), term


def _finding(
    found: spf.Spf,
    servers: Sequence[SendingServer],
    named: dict[str, bool | None],
    needed: Sequence[str],
) -> Finding:
    domain, count = found.domain, len(found.records)
    terms = [term for one in dict.fromkeys(needed) for term in one.split()]
    if not count:
        words = gettext(
            "There is no SPF record: receivers cannot tell your mail servers from those of a forger, and "
            "distrust your emails."
        )
        proposed = Record(domain, spf.put_right((), terms or ["mx"]))
        return Finding(Topic.SPF, domain, Verdict.MISSING, (words, *_left_out(servers, named)), (), proposed)
    wrong = _faults(found, servers, named)
    if wrong:
        return Finding(
            Topic.SPF,
            domain,
            Verdict.WRONG,
            (*wrong, *_left_out(servers, named)),
            found.records,
            _proposed(found, terms),
        )
    unknown = [
        gettext("“%(name)s” could not be read, so it is not known whom it lets send.", name=error.name)
        for error in found.unreached
    ]
    if unknown:
        return Finding(Topic.SPF, domain, Verdict.UNKNOWN, tuple(unknown), found.records)
    told = [gettext("Receivers learn from it which servers may send.")] if servers else []
    told += _left_out(servers, named)
    if not servers:
        told.append(gettext("No mail server here sends with this domain in the envelope."))
    return Finding(Topic.SPF, domain, Verdict.FOUND, tuple(told), found.records)


def _proposed(found: spf.Spf, terms: Sequence[str]) -> Record | None:
    """Return the record put right; None where only its owner knows what to leave out."""
    kept = [" ".join(term for term in record.split() if term not in found.faults) for record in found.records]
    text = spf.put_right(kept, terms)
    return None if [text] == list(found.records) else Record(found.domain, text)


def _faults(found: spf.Spf, servers: Sequence[SendingServer], named: dict[str, bool | None]) -> list[str]:
    count = len(found.records)
    if count > 1:
        return [
            ngettext(
                "There is %(num)d SPF record; receivers then take none of them. Replace them all by this one.",
                "There are %(num)d SPF records; receivers then take none of them. Replace them all by this one.",
                count,
            )
        ]
    wrong = []
    if found.everybody:
        wrong.append(
            gettext("It lets every computer in the world send as your domain (“+all”): it protects nothing.")
        )
    wrong += [
        gettext("Receivers cannot use “%(term)s”, and then take the whole record for wrong.", term=term)
        for term in found.faults
    ]
    if found.lookups > spf.MOST_LOOKUPS:
        wrong.append(
            gettext(
                "It leads to %(count)s further names. Beyond %(most)s receivers give up and take it for wrong: "
                "take out what sends for you no more.",
                count=found.lookups,
                most=spf.MOST_LOOKUPS,
            )
        )
    if not found.catch_all and not found.everybody:
        wrong.append(
            gettext("It does not say what holds for all other servers: it has to end with “~all” or “-all”.")
        )
    elif found.catch_all == "?":
        wrong.append(
            gettext("It ends with “?all”, so it says nothing about forged emails: end it with “~all”.")
        )
    wrong += [
        gettext(
            "It does not name the server “%(name)s”: receivers take its emails for forged.", name=server.name
        )
        for server in servers
        if named[server.name] is False and found.usable
    ]
    return wrong


def _left_out(servers: Sequence[SendingServer], named: dict[str, bool | None]) -> list[str]:
    return [
        gettext(
            "It is not known here from where “%(name)s” sends to the world: make sure that the record names it.",
            name=server.name,
        )
        for server in servers
        if named[server.name] is None
    ]
