"""The sending limits of well-known providers: a hint for whoever sets a limit, never applied by themselves.

Figures change and depend on the contract, so they stand here with their sources and are shown as a hint:

- Gmail: https://support.google.com/mail/answer/22839 (500 a day)
- Google Workspace: https://support.google.com/a/answer/166852 (2,000 a day), and for the relay
  https://support.google.com/a/answer/2956491 (10,000 recipients a day)
- Microsoft 365, connections: https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements
  (three at once)
- Microsoft 365: https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/
  exchange-online-limits#sending-limits (30 messages a minute, 10,000 recipients a day)
- Yahoo: https://help.yahoo.com/kb/SLN3353.html (500 a day)
- OVHcloud, MX Plan: https://help.ovhcloud.com/csm/en-mx-plan-faq (200 an hour)
- Orange and Free publish no figure for private accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.i18n import lazy_gettext as _l


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of mail, known by the names of its servers.

    Attributes:
        suffixes: What the host name of a server is, or ends with after a dot.
        hint: A sentence about its limits.
        per_minute: What to set, or None.
        per_day: What to set, or None.
        connections: How many at once it takes from one client, or None where nothing is known.
    """

    suffixes: tuple[str, ...]
    hint: object
    per_minute: int | None = None
    per_day: int | None = None
    connections: int | None = None


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        ("smtp-relay.gmail.com",),
        _l("The relay of Google Workspace takes emails to 10,000 recipients a day."),
        per_day=10_000,
    ),
    Provider(
        ("gmail.com", "googlemail.com"),
        _l(
            "Gmail takes 500 emails a day from a private account, and 2,000 a day from one of Google Workspace."
        ),
        per_day=500,
    ),
    Provider(
        ("office365.com", "outlook.office.com"),
        _l("Microsoft 365 takes 30 emails a minute from a mailbox, to at most 10,000 recipients a day."),
        per_minute=30,
        per_day=10_000,
        connections=3,
    ),
    Provider(("mail.yahoo.com",), _l("Yahoo takes 500 emails a day."), per_day=500),
    Provider(
        ("ovh.net", "ovh.ca"),
        _l("OVHcloud takes 200 emails an hour from an account of its shared email."),
        per_minute=3,
    ),
    Provider(
        ("orange.fr", "wanadoo.fr", "free.fr"),
        _l(
            "This provider publishes no figure. If it asks to be sent emails more slowly, Envoi slows down by itself."
        ),
    ),
)


def provider_of(host: str) -> Provider | None:
    """Return the provider that a host belongs to, or None for one that is not known."""
    name = host.strip().rstrip(".").lower()
    for provider in PROVIDERS:
        if any(name == suffix or name.endswith(f".{suffix}") for suffix in provider.suffixes):
            return provider
    return None
