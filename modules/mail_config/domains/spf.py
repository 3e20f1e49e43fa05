"""Records of SPF (RFC 7208): read, with what they include, and put right. The DNS is asked by whoever is given."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from modules.mail_config.transports.name_service import Names, NameServiceError

MOST_LOOKUPS = 10
"""Further names that receivers ask for, at most (§4.6.4)."""
_GIVE_UP = 20  # lookups after which nobody needs to know how many more there are
_MOST_EXCHANGERS = 10  # §4.6.4

_MECHANISM = re.compile(
    r"([+\-~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::([^/\s]+))?((?:/[0-9]{1,3})?(?://[0-9]{1,3})?)",
    re.IGNORECASE | re.ASCII,
)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.ASCII)
_NEEDS_VALUE = frozenset({"include", "ip4", "ip6", "exists"})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Spf:
    """What a record says, with all that it includes.

    Attributes:
        domain: Whose it is.
        records: All records of the domain; one is right.
        catch_all: How it ends: `+`, `-`, `~`, `?`, or "" where it says nothing about the others.
        everybody: True where it, or what it includes, lets every computer send.
        lookups: Further names that a receiver asks for.
        includes: Domains that it includes, directly or not.
        networks: Who may send.
        faults: Terms that no receiver can read, and includes of nothing.
        unread: True where some of it depends on the message, so that not all of it can be known from here.
        unreached: Why something that it includes could not be read.
    """

    domain: str
    records: tuple[str, ...]
    catch_all: str = ""
    everybody: bool = False
    lookups: int = 0
    includes: set[str] = field(default_factory=set)
    networks: list[Network] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unread: bool = False
    unreached: list[NameServiceError] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """False where receivers take nothing of it (permerror)."""
        return len(self.records) == 1 and not self.faults and self.lookups <= MOST_LOOKUPS

    def allows(self, address: str) -> bool:
        """Return True when an address may send."""
        asked = ipaddress.ip_address(address)
        return any(asked.version == network.version and asked in network for network in self.networks)


def records_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return those of the TXT records of a name that are of SPF."""
    return tuple(text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 "))


def read(names: Names, domain: str) -> Spf:
    """Read the record of a domain, and what it includes.

    Raises:
        NameServiceError: The DNS has told nothing about the domain itself.
    """
    spf = Spf(domain, records_of(names.texts(domain)))
    if spf.records:
        # Of several the sum is read, which is what they are to become.
        record = spf.records[0] if len(spf.records) == 1 else put_right(spf.records, ())
        spf.catch_all = _walk(names, spf, domain, record, frozenset({domain}))
        spf.everybody |= spf.catch_all == "+"
    return spf


def _walk(names: Names, spf: Spf, domain: str, record: str, above: frozenset[str]) -> str:
    """Take in the terms of a record; return how it ends."""
    redirect = catch_all = ""
    for term in record.split()[1:]:
        found = _MECHANISM.fullmatch(term)
        if found is None:
            modifier = _MODIFIER.fullmatch(term)
            if modifier is None:
                spf.faults.append(term)
            elif modifier[1].lower() == "redirect":
                redirect = modifier[2].lower().rstrip(".")
            continue
        qualifier, kind, value, lengths = found[1] or "+", found[2].lower(), found[3] or "", found[4] or ""
        if kind == "all":
            catch_all = catch_all or qualifier
        elif not value and kind in _NEEDS_VALUE:
            spf.faults.append(term)
        else:
            _take(names, spf, term, (qualifier, kind, value.lower().rstrip(".") or domain, lengths), above)
    if redirect and not catch_all:
        catch_all = _below(names, spf, f"redirect={redirect}", redirect, above) or ""
    return catch_all


def _take(names: Names, spf: Spf, term: str, parts: tuple[str, str, str, str], above: frozenset[str]) -> None:
    qualifier, kind, value, lengths = parts
    if kind in {"ip4", "ip6"}:
        try:
            spf.networks += [ipaddress.ip_network(f"{value}{lengths}", strict=False)] * (qualifier == "+")
        except ValueError:
            spf.faults.append(term)
        return
    if kind == "include":
        spf.everybody |= _below(names, spf, term, value, above) == "+"
        return
    spf.lookups += 1
    if "%" in value or kind in {"ptr", "exists"}:
        spf.unread = True
        return
    if spf.lookups > _GIVE_UP or qualifier != "+":
        return
    try:
        hosts = [value] if kind == "a" else names.exchangers(value)[:_MOST_EXCHANGERS]
        for host in hosts:
            spf.networks += _networks(names.addresses(host), lengths)
    except NameServiceError as error:
        spf.unreached.append(error)
    except ValueError:
        spf.faults.append(term)


def _below(names: Names, spf: Spf, term: str, domain: str, above: frozenset[str]) -> str:
    """Take in the record of another domain; return how it ends."""
    spf.lookups += 1
    if "%" in domain:
        spf.unread = True
        return ""
    spf.includes.add(domain)
    if spf.lookups > _GIVE_UP:
        return ""
    if domain in above:
        spf.faults.append(term)
        return ""
    try:
        records = records_of(names.texts(domain))
    except NameServiceError as error:
        spf.unreached.append(error)
        return ""
    if len(records) != 1:
        spf.faults.append(term)
        return ""
    return _walk(names, spf, domain, records[0], above | {domain})


def _networks(addresses: Sequence[str], lengths: str) -> list[Network]:
    """Return the networks of addresses with lengths such as `/24//64`."""
    four, _, six = lengths.partition("//")
    ends = {4: four.removeprefix("/") or "32", 6: six or "128"}
    return [
        ipaddress.ip_network(f"{address}/{ends[ipaddress.ip_address(address).version]}", strict=False)
        for address in addresses
    ]


def put_right(records: Sequence[str], needed: Sequence[str]) -> str:
    """Return one record made of those there are and the terms that are needed; it lets nobody else send."""
    terms: dict[str, None] = {}
    redirect, ends = "", set()
    for record in records:
        for term in record.split()[1:]:
            found = _MECHANISM.fullmatch(term)
            if found is not None and found[2].lower() == "all":
                ends.add(found[1])
            elif term.lower().startswith("redirect="):
                redirect = redirect or term
            elif found is not None or _MODIFIER.fullmatch(term):
                terms[term] = None
    terms |= dict.fromkeys(needed)
    end = redirect if redirect and not ends else "-all" if ends == {"-"} else "~all"
    return " ".join(["v=spf1", *terms, end])
