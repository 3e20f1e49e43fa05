"""The providers of mail that are known: what to fill in for a server, their limits, and what usually goes wrong there.

The table is `providers.toml`. Its figures are proposed, never applied by themselves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from flask_babel import get_locale, gettext, ngettext

from core.mail.outcomes import FailureKind
from modules.mail_config.models import Encryption


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that usually goes wrong at a provider.

    Attributes:
        failures: The kinds of failure by which it shows.
        texts: What helps, by language; `%(provider)s` stands for the provider's name.
        mailbox: True where it keeps one from reading a mailbox as well.
    """

    failures: tuple[FailureKind, ...]
    texts: Mapping[str, str]
    mailbox: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of mail.

    Attributes:
        name: As people call it.
        region: `world`, or the country it is of: `fr`, `be`, `ch`, `de`.
        hosts: What the name of a server of it is, or ends with after a dot.
        domains: What follows the @ of addresses there, or stands at its end after a dot.
        host: The server to send by, or "" where each customer has another.
        port: TCP port.
        encryption: How the connection is encrypted.
        user: What one signs in with: `address`, `local` (what stands before the @), `other`, or the name itself.
        business: True where it suits the mails of a business.
        trouble: What usually goes wrong there.
        link: A page of the provider about it.
        note: Something to know, by language, or nothing.
        mx: What the names end with of the hosts that take mail for a customer's own domain there.
        imap: The server that its mailboxes are read at (TLS, port 993), `=` for the one to send by, or "".
        keeps_sent: True where it puts what it sends into the Sent folder by itself.
        spf: What the SPF record of a customer's own domain includes for it, or "".
        own_envelope: True where it puts a sender of its own into the envelope, so that SPF looks at its domain.
        signs: True where it puts its own signature (DKIM) on what it sends.
        selectors: Under which its keys usually stand in the customer's domain.
        per_minute: Mails a minute, or None; the following likewise.
        per_hour: Mails an hour.
        per_day: Mails a day.
        per_connection: Mails over one connection.
        recipients_per_message: Recipients of one mail.
        connections: Connections at a time.
        size_mb: The largest message in MB.
        source: The page that says its figures, or "" where they are from general knowledge.
    """

    name: str
    region: str
    hosts: tuple[str, ...]
    domains: tuple[str, ...]
    host: str
    port: int
    encryption: Encryption
    user: str
    business: bool
    trouble: tuple[Trouble, ...]
    link: str
    note: Mapping[str, str]
    mx: tuple[str, ...] = ()
    imap: str = ""
    keeps_sent: bool = False
    spf: str = ""
    own_envelope: bool = False
    signs: bool = False
    selectors: tuple[str, ...] = ()
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    per_connection: int | None = None
    recipients_per_message: int | None = None
    connections: int | None = None
    size_mb: int | None = None
    source: str = ""

    @property
    def hint(self) -> str:
        """What is known about its limits, and whether it suits the mails of a business, in sentences."""
        # Each figure is a message of its own, since languages order and inflect them by themselves.
        figures: list[tuple[int | None, Callable[[int], str]]] = [
            (self.per_minute, lambda n: ngettext("%(num)d email a minute", "%(num)d emails a minute", n)),
            (self.per_hour, lambda n: ngettext("%(num)d email an hour", "%(num)d emails an hour", n)),
            (self.per_day, lambda n: ngettext("%(num)d email a day", "%(num)d emails a day", n)),
            (
                self.recipients_per_message,
                lambda n: ngettext("%(num)d recipient an email", "%(num)d recipients an email", n),
            ),
            (
                self.per_connection,
                lambda n: ngettext("%(num)d email by one connection", "%(num)d emails by one connection", n),
            ),
            (self.connections, lambda n: ngettext("%(num)d connection", "%(num)d connections at a time", n)),
            (self.size_mb, lambda n: gettext("%(num)d MB an email", num=n)),
        ]
        limits = ", ".join(said(number) for number, said in figures if number)
        said = [
            gettext("%(provider)s allows at most: %(limits)s.", provider=self.name, limits=limits)
            if limits
            else gettext("%(provider)s publishes no figure that we know of.", provider=self.name)
        ]
        if self.note:
            said.append(_spoken(self.note))
        if not self.business:
            said.append(
                gettext("It is meant for private people, and does not suit the emails of a business.")
            )
        return " ".join(said)

    def user_of(self, address: str) -> str:
        """Return what the owner of an address signs in with, or "" where only the provider's console says it."""
        known = {"address": address, "local": address.partition("@")[0], "other": ""}
        return known.get(self.user, self.user)

    @property
    def troubles(self) -> list[str]:
        """What usually goes wrong there, in sentences."""
        return [_spoken(trouble.texts) % {"provider": self.name} for trouble in self.trouble]

    def helps(self, kind: FailureKind, *, mailbox: bool = False) -> list[str]:
        """Return what helps at this provider when a mail, a test, or reading a mailbox fails in a way."""
        return [
            _spoken(trouble.texts) % {"provider": self.name}
            for trouble in self.trouble
            if kind in trouble.failures and (trouble.mailbox or not mailbox)
        ]


def _spoken(texts: Mapping[str, str]) -> str:
    return texts.get(str(get_locale() or "en")[:2]) or texts["en"]


@cache
def providers() -> tuple[Provider, ...]:
    """Return the providers that are known, in the order of the table."""
    table = tomllib.loads(files("modules.mail_config.servers").joinpath("providers.toml").read_text("utf-8"))
    troubles = {
        name: Trouble(
            tuple(FailureKind(kind) for kind in row["failures"]),
            {"en": row["en"], "fr": row["fr"]},
            row.get("mailbox", False),
        )
        for name, row in table["trouble"].items()
    }
    return tuple(
        Provider(
            **{
                **row,
                "hosts": tuple(row["hosts"]),
                "domains": tuple(row["domains"]),
                "encryption": Encryption(row["encryption"]),
                "trouble": tuple(troubles[name] for name in row["trouble"]),
                "note": row.get("note", {}),
                "mx": tuple(row.get("mx", ())),
                "selectors": tuple(row.get("selectors", ())),
            }
        )
        for row in table["provider"]
    )


def provider_of(text: str) -> Provider | None:
    """Return the provider that a host, or the domain of an address, belongs to; None for one that is not known."""
    name = text.strip().rstrip(".").lower()
    if "@" in name:
        return _below(name.rpartition("@")[2], lambda provider: provider.domains)
    return _below(name, lambda provider: (*provider.hosts, *provider.domains))


def provider_by_mx(exchangers: Sequence[str]) -> Provider | None:
    """Return the provider at which a domain has its mailboxes, by the hosts that take mail for it (MX)."""
    return _below(exchangers[0].rstrip(".").lower(), lambda provider: provider.mx) if exchangers else None


def _below(name: str, suffixes: Callable[[Provider], Iterable[str]]) -> Provider | None:
    # The longest name that fits: the relay of a provider may lie below the name of its mailboxes.
    found = [
        (len(suffix), provider)
        for provider in providers()
        for suffix in suffixes(provider)
        if name == suffix or name.endswith(f".{suffix}")
    ]
    return max(found, key=lambda pair: pair[0], default=(0, None))[1]
