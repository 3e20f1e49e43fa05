"""DKIM: are the keys found by which emails are signed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext

from core.i18n import quoted
from core.mail.dkim import record_name
from core.web.formats import day
from modules.mail_config.domains.findings import Finding, Record, Topic, Verdict, trouble_sentence
from modules.mail_config.domains.senders import SendingServer
from modules.mail_config.signing.records import Published, published, tags_of
from modules.mail_config.signing_models import DomainKey, KeyState
from modules.mail_config.transports.name_service import Names, NameServiceError


@dataclass(slots=True)
class DkimLook:
    """What was found.

    Attributes:
        findings: In words.
        ours: True where what we sign can be verified; None where the DNS has not told.
        theirs: By the name of a server that signs by itself, whether a key of it was found; None where nobody knows
            under which name to look.
    """

    findings: list[Finding]
    ours: bool | None
    theirs: dict[str, bool | None]


def look_at_dkim(
    names: Names, domain: str, keys: Sequence[DomainKey], servers: Sequence[SendingServer]
) -> DkimLook:
    """Look for the records of our keys, and for those of servers that sign by themselves."""
    findings, verdicts = [], []
    for key in keys:
        finding = _of_key(names, key)
        findings.append(finding)
        if key.state is KeyState.SIGNING:
            verdicts.append(finding.verdict)
    by_us = [server for server in servers if not server.signs]
    if by_us and not verdicts:
        findings.insert(0, _unsigned(domain, by_us, waiting=bool(keys)))
    theirs: dict[str, bool | None] = {}
    for server in servers:
        if server.signs:
            finding = _of_server(names, domain, server)
            findings.append(finding)
            theirs[server.name] = {Verdict.FOUND: True, Verdict.MISSING: False}.get(finding.verdict)
    ours: bool | None = Verdict.FOUND in verdicts
    if not ours and Verdict.UNKNOWN in verdicts:
        ours = None
    return DkimLook(findings, ours, theirs)


def _unsigned(domain: str, servers: Sequence[SendingServer], *, waiting: bool) -> Finding:
    words = gettext(
        "Emails by %(servers)s are not signed: nobody can prove that they are yours once they are forwarded.",
        servers=quoted(*(server.name for server in servers)),
    )
    step = (
        gettext("Let a key sign, as soon as its record is found.")
        if waiting
        else gettext("Make keys on the page “Check my domain”.")
    )
    return Finding(Topic.DKIM, domain, Verdict.MISSING, (words, step))


def _of_key(names: Names, key: DomainKey) -> Finding:
    about, state, record = key.record_name, key.state, Record(key.record_name, key.record_text)
    try:
        found = published(names, about, key.public)
    except NameServiceError as error:
        return Finding(Topic.DKIM, about, Verdict.UNKNOWN, (trouble_sentence(error),), (), record)
    if state in {KeyState.RETIRED, KeyState.DISPENSABLE}:
        return _of_retired(key, found)
    if found is Published.FOUND:
        words = (
            gettext("Emails are signed by this key, and receivers find it.")
            if state is KeyState.SIGNING
            else gettext("The record is there: this key may sign now.")
        )
        return Finding(Topic.DKIM, about, Verdict.FOUND, (words,))
    if found is Published.OTHER:
        words = gettext(
            "Something else stands under this name: what is signed by this key counts as forged. Replace it."
        )
        return Finding(Topic.DKIM, about, Verdict.WRONG, (words,), (), record)
    words = (
        gettext(
            "Emails are signed by this key, but receivers do not find it, so that it proves nothing. Publish it again."
        )
        if state is KeyState.SIGNING
        else gettext("The record is not there yet. Publish it; the key signs nothing before it is found.")
    )
    return Finding(Topic.DKIM, about, Verdict.MISSING, (words,), (), record)


def _of_retired(key: DomainKey, found: Published) -> Finding:
    if key.state is KeyState.DISPENSABLE:
        words = gettext(
            "This key has not signed since %(day)s: it may be deleted here, and its record in the DNS.",
            day=day(key.retired_at),
        )
        return Finding(Topic.DKIM, key.record_name, Verdict.FOUND, (words,))
    words = gettext(
        "It signs no more. Leave its record until %(day)s: emails are still on the way.",
        day=day(key.keep_until),
    )
    if found is Published.FOUND:
        return Finding(Topic.DKIM, key.record_name, Verdict.FOUND, (words,))
    gone = gettext("Its record is gone already; what it has signed cannot be verified any more.")
    record = Record(key.record_name, key.record_text)
    return Finding(Topic.DKIM, key.record_name, Verdict.MISSING, (gone, words), (), record)


def _of_server(names: Names, domain: str, server: SendingServer) -> Finding:
    who = server.provider.name if server.provider is not None else server.name
    selectors = server.provider.selectors if server.provider is not None else ()
    about = gettext("“%(name)s” signs by itself", name=server.name)
    if not selectors:
        words = gettext(
            "Under which name its key stands is not known here. Look at %(provider)s whether signing (DKIM) is "
            "switched on for %(domain)s.",
            provider=who,
            domain=domain,
        )
        return Finding(Topic.DKIM, about, Verdict.UNKNOWN, (words,))
    for selector in selectors:
        name = record_name(selector, domain)
        try:
            texts = names.texts(name)
        except NameServiceError as error:
            return Finding(Topic.DKIM, about, Verdict.UNKNOWN, (trouble_sentence(error),))
        if any((tags_of(text) or {}).get("p") for text in texts):
            words = gettext("A key of %(provider)s stands under %(name)s.", provider=who, name=name)
            return Finding(Topic.DKIM, about, Verdict.FOUND, (words,))
    words = gettext(
        "No key of %(provider)s is found where it usually stands. Switch signing (DKIM) on there for %(domain)s, and "
        "publish what it tells you.",
        provider=who,
        domain=domain,
    )
    return Finding(Topic.DKIM, about, Verdict.MISSING, (words,))
