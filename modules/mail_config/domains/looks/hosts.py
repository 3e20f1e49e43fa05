"""MX and reverse names: can a domain be written to, and does a server of the house say who it is?"""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import gettext

from modules.mail_config.domains.findings import Finding, Topic, Verdict, told_nothing
from modules.mail_config.domains.looks.spf import public_addresses
from modules.mail_config.domains.senders import SendingServer
from modules.mail_config.transports.name_service import Names, NameServiceError

_MOST_HOSTS = 5  # that are asked about; a domain seldom has more


def look_at_mx(names: Names, domain: str) -> Finding:
    """Look who takes what is written to a domain."""
    try:
        hosts = names.exchangers(domain)
        if hosts == ["."]:
            words = gettext(
                "The domain says that it takes no email (“MX .”): nobody can answer you, and many servers take "
                "nothing from such a domain."
            )
            return Finding(Topic.MX, domain, Verdict.WRONG, (words,), (".",))
        if not hosts:
            if names.addresses(domain):
                words = gettext(
                    "There is no MX record: answers and bounces go to the address of the domain itself."
                )
                return Finding(Topic.MX, domain, Verdict.FOUND, (words,))
            words = gettext(
                "Nobody takes emails to this domain: answers and bounces are lost, and many servers take nothing "
                "from a domain that cannot be written to."
            )
            return Finding(Topic.MX, domain, Verdict.MISSING, (words,))
        nowhere = [host for host in hosts[:_MOST_HOSTS] if not names.addresses(host)]
    except NameServiceError as error:
        return told_nothing(Topic.MX, domain, error)
    if nowhere:
        words = gettext(
            "There is no such host: %(hosts)s. What is sent there comes back.", hosts=", ".join(nowhere)
        )
        return Finding(Topic.MX, domain, Verdict.WRONG, (words,), tuple(hosts))
    words = gettext("Answers and bounces can be delivered.")
    return Finding(Topic.MX, domain, Verdict.FOUND, (words,), tuple(hosts))


def look_at_reverse(names: Names, servers: Sequence[SendingServer]) -> list[Finding]:
    """Look whether servers of the house have a reverse name that leads back to them."""
    own = [server for server in servers if server.provider is None and server.host]
    findings: list[Finding] = []
    for server in own:
        try:
            addresses = public_addresses(names, server.host)
            findings += [_reverse(names, server, address) for address in addresses]
        except NameServiceError as error:
            findings.append(told_nothing(Topic.REVERSE, server.name, error))
            continue
        if not addresses:
            words = gettext(
                "“%(name)s” is reached inside your network. The address by which it sends to the world is not "
                "known here; that one needs a reverse name.",
                name=server.name,
            )
            findings.append(Finding(Topic.REVERSE, server.host, Verdict.UNKNOWN, (words,)))
    return findings


def _reverse(names: Names, server: SendingServer, address: str) -> Finding:
    try:
        found = names.names_of(address)
        back = [name for name in found[:_MOST_HOSTS] if address in names.addresses(name)]
    except NameServiceError as error:
        return told_nothing(Topic.REVERSE, address, error)
    if not found:
        words = gettext(
            "The address of “%(name)s” has no reverse name: big receivers refuse such servers. Whoever has given "
            "you the address sets it.",
            name=server.name,
        )
        return Finding(Topic.REVERSE, address, Verdict.MISSING, (words,))
    if not back:
        words = gettext(
            "The reverse name of “%(name)s” does not lead back to its address: receivers take it for made up.",
            name=server.name,
        )
        return Finding(Topic.REVERSE, address, Verdict.WRONG, (words,), tuple(found))
    words = gettext("“%(name)s” is known by its name.", name=server.name)
    return Finding(Topic.REVERSE, address, Verdict.FOUND, (words,), tuple(back))
