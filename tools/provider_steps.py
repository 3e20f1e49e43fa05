"""Write `docs/set-up-your-mail.md`: for each provider of mail, what to do there and in Envoi, step by step.

`tools/provider_table.py` writes it with its own page. What is on a button is looked up in the catalog, so a page that
names what is no longer there is not written.
"""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.mail.advice import ADVICE, Advice  # noqa: E402
from core.mail.outcomes import FailureKind  # noqa: E402
from modules.mail_config.servers.forms import ENCRYPTION_TITLES  # noqa: E402
from modules.mail_config.servers.providers import Provider, providers  # noqa: E402
from modules.mail_config.servers.test_advice import STEP_TITLES  # noqa: E402
from modules.mail_config.transports.base import Step  # noqa: E402

PAGE = ROOT / "docs" / "set-up-your-mail.md"
SOURCE = ROOT / "modules" / "mail_config" / "servers" / "providers.toml"
FRENCH = [
    ROOT / module / "translations" / "fr" / "LC_MESSAGES" / "messages.po"
    for module in ("core", "modules/mail_config")
]
REGIONS = {"world": "Worldwide", "fr": "France", "be": "Belgium", "ch": "Switzerland", "de": "Germany"}

RED = {
    FailureKind.AUTH_FAILED: Step.SIGN_IN,
    FailureKind.SENDER_REFUSED: Step.MAIL,
    FailureKind.RECIPIENT_REFUSED: Step.RCPT,
    FailureKind.MESSAGE_REFUSED: Step.DATA,
}
"""The step of a test that is red for a kind of failure."""

ANYWHERE = {
    Step.RESOLVE: (Advice.DNS_UNAVAILABLE,),
    Step.CONNECT: (Advice.PORT_FILTERED, Advice.PORT_CLOSED),
    Step.TLS: (Advice.WRONG_TLS_MODE, Advice.CERTIFICATE_NAME, Advice.CERTIFICATE_UNTRUSTED),
    Step.SIGN_IN: (Advice.CREDENTIALS, Advice.AUTH_NOT_OFFERED),
}
"""What is said of a step at any provider."""

_TEXTS = tomllib.loads((ROOT / "tools" / "provider_steps.toml").read_text("utf-8"))
AT_THE_PROVIDER: dict[str, list[str]] = _TEXTS["by_trouble"]
"""What is to be done at the provider first, by what usually goes wrong there."""
BY_NAME: dict[str, list[str]] = _TEXTS["by_provider"]
"""The same, where we know the way there."""
PASSWORDS: dict[str, str] = _TEXTS["password"]
"""Which password is typed, by what usually goes wrong."""
APIS = {"SendGrid": "API key", "Postmark": "Server API token"}
"""Who is spoken to by an interface of its own, and what its key is called in the form."""
ACCOUNTS = {"Gmail": "Gmail", "Microsoft 365": "Microsoft 365", "Outlook.com": "Microsoft 365"}
"""Who is connected without a password, and what is on the button."""
OWN_DOMAINS = {"Microsoft 365", "Mailgun"}
"""Whose addresses have domains of their own, for nearly everybody."""
HOUSES = {"Gmail": "Google", "Microsoft 365": "Microsoft"}
"""Whose account that is."""
NOT_CONNECTED = (
    (
        "%(provider)s does not know the address that it should send you back to. An administrator registers exactly "
        "this one there: %(address)s"
    ),
    "In your organization an administrator of %(provider)s has to allow Envoi first. Nothing was saved.",
    (
        "You have agreed with the account %(found)s, but %(wanted)s was to be connected. Nothing was saved. Connect "
        "again and choose the right account at %(provider)s."
    ),
)
"""What is said to whom the provider has sent back without what is needed."""


@cache
def _catalog() -> frozenset[str]:
    known: set[str] = set()
    for path in FRENCH:
        with path.open("rb") as file:
            known.update(str(one.id) for one in read_po(file) if isinstance(one.id, str))
    return frozenset(known)


def label(text: str, **values: str) -> str:
    """Return what is on the screen, as the guide writes it.

    Raises:
        KeyError: Nothing of that name is there.
    """
    if text not in _catalog():
        raise KeyError(text)
    return f"*{text % values if values else text}*"


def _my_mail() -> str:
    return label("My email")


def _new_server() -> str:
    way = ("Configuration", "Technical", "Mail servers", "New mail server")
    return f"*{' › '.join(label(one).strip('*') for one in way)}*"


def _end() -> str:
    return (
        f"Press {label('Save')}, then {label('Test')}. The steps turn green one after the other, and an email arrives "
        "in your mailbox. From then on emails leave that way."
    )


def page() -> str:
    """Return the page."""
    parts = [_head()]
    for region, title in REGIONS.items():
        known = [provider for provider in providers() if provider.region == region]
        links = " · ".join(f"[{provider.name}](#{anchor(provider.name)})" for provider in known)
        parts.append(f"**{title}**: {links}\n")
    parts.append(_anywhere())
    parts += [_section(provider) for provider in providers()]
    return "\n".join(parts)


def anchor(title: str) -> str:
    """Return by what a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _head() -> str:
    return f"""# Set up your mail, provider by provider

Written by `tools/provider_table.py` from `modules/mail_config/servers/providers.toml`. You need to know nothing about
mail servers: find the provider at which you read your mail – it is mostly what stands after the @ of your address –,
and do what its paragraph says from top to bottom. What this is about, and what becomes of your emails meanwhile, says
the [guide](guide.md#set-up-your-mail); the figures of all in one table: [providers.md](providers.md).

What stands here of the pages of a provider is to the best of our knowledge. They change: where something looks
otherwise, follow the link in its paragraph to what the provider itself says.

Your provider is not here? {_my_mail()}, {label("my own mail server")}: ask it, or whoever looks after your computers,
for “the settings for outgoing mail (SMTP)”: host, port, encryption, user name and password. That is all the form
asks for.
"""


def _anywhere() -> str:
    lines = [
        "## If a step of the test stays red",
        "",
        "The sentence above the step says what is wrong. These may come at any provider:",
        "",
    ]
    for step, advices in ANYWHERE.items():
        lines += [f"- {_title(step)}: “{ADVICE[advice].text}”" for advice in advices]
    lines += [
        "",
        f"Correct it with {label('Edit')}, and test again. Until a test has passed, nothing leaves by the server.",
        "",
    ]
    return "\n".join(lines)


def _title(step: Step) -> str:
    return f"*{STEP_TITLES[step]}*"


@cache
def _keys() -> dict[str, list[str]]:
    table = tomllib.loads(SOURCE.read_text("utf-8"))
    return {row["name"]: row["trouble"] for row in table["provider"]}


def _section(provider: Provider) -> str:
    name, keys = provider.name, _keys()[provider.name]
    domains = ", ".join(f"…@{domain}" for domain in provider.domains)
    about = f"Addresses: {domains}. " if domains else ""
    lines = [f"## {name}", "", f"{about}[The provider's own page]({provider.link}).", ""]
    if name in ACCOUNTS:
        lines += [
            "**Without a password**, the best way here:",
            "",
            *_numbered(_by_account(ACCOUNTS[name])),
            "",
        ]
    if name in APIS:
        lines += ["**By its API key**, the best way here:", "", *_numbered(_by_api(name)), ""]
    if "oauth_only" not in keys:
        if name in ACCOUNTS:
            lines += ["**With a password:**", ""]
        elif name in APIS:
            lines += ["**By SMTP**, if it has to be:", ""]
        lines += [*_numbered(_by_smtp(provider, keys)), ""]
    lines += ["Good to know:", "", *(f"- {one}" for one in _good_to_know(provider)), ""]
    wrong = [
        f"- {' or '.join(_title(RED[kind]) for kind in trouble.failures)} is red: "
        f"“{trouble.texts['en'] % {'provider': name}}”"
        for trouble in provider.trouble
    ]
    wrong += _wrong_without_smtp(name)
    return "\n".join([*lines, "What usually goes wrong, and what Envoi says then:", "", *wrong, ""])


def _wrong_without_smtp(name: str) -> list[str]:
    """Return what goes wrong with a connected account, or with an API key."""
    red = f"- {_title(Step.SIGN_IN)} is red"
    if name in APIS:
        keys = (Advice.API_KEY, Advice.API_PERMISSION)
        said = [f"{red}, with the API key: “{ADVICE[advice].text}”" for advice in keys]
        return [*said, "- What else its API answers: [providers.md](providers.md#what-an-answer-means)."]
    if name not in ACCOUNTS:
        return []
    house = HOUSES[ACCOUNTS[name]]
    values = {"provider": house, "address": "…", "found": "…", "wanted": "…"}
    back = [f"- Back from {house}: “{label(text, **values).strip('*')}”" for text in NOT_CONNECTED]
    ended = (Advice.RECONNECT, Advice.API_DISABLED)
    return [*back, *(f"{red}, with the account connected: “{ADVICE[advice].text}”" for advice in ended)]


def _numbered(steps: list[str]) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]


def _by_account(name: str) -> list[str]:
    house = HOUSES[name]
    return [
        (
            f"{_my_mail()}: press {label('Connect %(name)s', name=name)}. If the page says that an administrator has "
            f"to register Envoi first: that is {label('Register Envoi at %(provider)s', provider=house)} under "
            f"{_new_server()}, "
            "once for the whole house."
        ),
        f"See that it shows your address, and press {label('Go on to %(provider)s', provider=house)}.",
        (
            f"You are at {house} now. Sign in as you always do, tick all that Envoi asks for, and agree. Envoi never "
            "sees your password."
        ),
        "You are back, and a test begins by itself. The steps turn green, and an email arrives in your mailbox.",
        f"If a step says that SMTP is switched off, connect once more and tick {label('Send without SMTP')}.",
    ]


def _by_api(name: str) -> list[str]:
    return [
        *BY_NAME[name],
        (
            f"{_new_server()} (for your own emails alone: {_my_mail()}, {label('my own mail server')}): choose "
            f"the kind *{name}* above the form."
        ),
        f"Paste it into {label(APIS[name])}.",
        _end(),
    ]


def _by_smtp(provider: Provider, keys: list[str]) -> list[str]:
    steps = [] if provider.name in APIS else list(BY_NAME.get(provider.name, ()))
    if not steps:
        steps = [one.format(name=provider.name) for key in keys for one in AT_THE_PROVIDER.get(key, ())]
    if provider.name in APIS:
        steps = [
            f"Have the sender verified and make the key as above; here it is typed as the {label('Password')}."
        ]
    return [*steps, *_in_the_form(provider), _password(provider, keys), _end()]


def _in_the_form(provider: Provider) -> list[str]:
    """Return how the form is opened and filled in."""
    port = f"port {provider.port}, encryption {label(str(ENCRYPTION_TITLES[provider.encryption]))}"
    if provider.domains and provider.name not in OWN_DOMAINS:
        return _by_address(provider, port)
    told = f"the host that {provider.name} has told you (…{provider.hosts[0]})"
    host = f"`{provider.host}`" if provider.host else told
    user = {
        "address": "the whole address of the mailbox",
        "other": f"as the console of {provider.name} shows it",
    }.get(provider.user, f"`{provider.user}`, for everybody")
    return [
        (
            f"{_new_server()}: type {host} at the top, and press {label('Fill in')}. The form then has {port}, and "
            f"what the provider allows. For your own emails alone: {_my_mail()}, {label('my own mail server')}, and "
            "type the same."
        ),
        f"{label('User name')}: {user}.",
    ]


def _by_address(provider: Provider, port: str) -> list[str]:
    """Return how the form is filled in for an address by which the provider is known."""
    local = "what stands before the @ of your address"
    user = {"local": local, "address": "your address"}.get(provider.user, "as its console shows it")
    by_hand = "the password" if provider.host else "host and password"
    filled = f"host `{provider.host}`, {port}" if provider.host else port
    steps = [
        (
            f"{_my_mail()}: type your address under {label('Send from')}, choose {label('my own mail server')}, press "
            f"{label('Save')}. A form opens in which all but {by_hand} is filled in: {filled}; {label('User name')}: "
            f"{user}."
        )
    ]
    if not provider.host:
        steps.append(f"{label('Host')}: as {provider.name} has told you (…{provider.hosts[0]}).")
    elif provider.business:
        steps.append(
            "If your address has a domain of your own, the form does not know the provider: type host, port and "
            f"encryption as above, and your whole address as {label('User name')}."
        )
    return steps


def _password(provider: Provider, keys: list[str]) -> str:
    key = next((key for key in keys if key in PASSWORDS), None)
    which = PASSWORDS[key] if key else "the one of the mailbox"
    if provider.name in APIS:
        which = "the key"
    if "relay_allowed" in keys:
        which = "the app password; leave both empty where the address of the machine is allowed"
    return f"{label('Password')}: {which}."


def _good_to_know(provider: Provider) -> list[str]:
    most = limits(provider)
    said = [f"At most: {most}." if most else f"{provider.name} publishes no figure that we know of."]
    if provider.note:
        said.append(provider.note["en"])
    if provider.keeps_sent:
        said.append(f"{provider.name} keeps a copy of what you send in your Sent folder by itself.")
    elif provider.imap:
        host = "the same host" if provider.imap == "=" else f"`{provider.imap}`"
        said.append(
            f"A copy in your Sent folder: tick {label('Keep a copy in the Sent folder of this mailbox')} in the form; "
            f"it is put there by {host}."
        )
    if not provider.business:
        said.append("It is meant for private people: for many emails a day a business needs another.")
    return said


def limits(provider: Provider) -> str:
    """Return what a provider allows, or ""."""
    figures = [
        (provider.per_minute, "a minute"),
        (provider.per_hour, "an hour"),
        (provider.per_day, "a day"),
        (provider.recipients_per_message, "recipients an email"),
        (provider.per_connection, "emails by one connection"),
        (provider.connections, "connections"),
        (provider.size_mb, "MB"),
    ]
    return ", ".join(f"{number:,} {words}" for number, words in figures if number)
