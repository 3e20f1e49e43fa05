"""Write `docs/providers.md`: each provider of mail that Envoi knows, its settings, and what usually goes wrong there.

With it `docs/set-up-your-mail.md` (`provider_steps`). `tests/mail_config/test_providers.py` fails while they are not
what this writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import provider_steps  # noqa: E402
from provider_steps import PAGE as STEPS  # noqa: E402
from provider_steps import REGIONS, anchor, limits  # noqa: E402

from core.mail.addresses import Address  # noqa: E402
from core.mail.advice import ADVICE  # noqa: E402
from core.mail.exceptions import BEFORE_THE_MAIL  # noqa: E402
from core.mail.explanations import EXPLANATIONS  # noqa: E402
from core.mail.outcomes import Failure, Reply, Stage  # noqa: E402
from core.mail.replies import explain_reply  # noqa: E402
from modules.mail_config.servers.providers import Provider, providers  # noqa: E402
from modules.mail_config.transports.http import Answer  # noqa: E402
from modules.mail_config.transports.parts import Addressees, Parts, addressees  # noqa: E402
from modules.mail_config.transports.postmark import Postmark  # noqa: E402
from modules.mail_config.transports.relay import Relay  # noqa: E402
from modules.mail_config.transports.sendgrid import SendGrid  # noqa: E402

PAGE = ROOT / "docs" / "providers.md"
USERS = {"address": "the address", "local": "what stands before the @", "other": "as its console says"}
HEAD = """# Providers of mail that Envoi knows

Written by `tools/provider_table.py` from `modules/mail_config/servers/providers.toml`; what is said below the form of
a server and beside a failed test is the same. Where Thunderbird's list has a provider, host, port and encryption were
compared with it; the others and the links are given to the best of our knowledge and were neither looked up again nor
tried. Figures that are a link were read there, or in a public copy of it, in December 2026; the other figures are from
general knowledge. What to do at each, step by step: [set up your mail](set-up-your-mail.md).
"""

ANSWERS = """## What an answer means

The same words are read by the same table, whoever says them. *Then* is what becomes of the mail by itself. Those of
SendGrid and Postmark are those of their documentation; none was provoked there.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for region, title in REGIONS.items():
        rows = [_row(provider) for provider in providers() if provider.region == region]
        heads = (
            "| provider | host and port | user name | at most | copy in Sent | for a business |\n"
            "|---|---|---|---|---|---|"
        )
        parts.append(f"## {title}\n\n{heads}\n" + "\n".join(rows) + "\n")
    parts.append("## What usually goes wrong\n\n" + _troubles())
    parts.append(f"{ANSWERS}\n{_answers()}")
    return "\n".join(parts)


def _row(provider: Provider) -> str:
    most = limits(provider) or "–"
    if provider.source:
        most = f"[{limits(provider) or 'its page'}]({provider.source})"
    user = USERS.get(provider.user, f"`{provider.user}`")
    host = provider.host or f"…{provider.hosts[0]}"
    where = f"{host}, {provider.port} {provider.encryption.value.upper()}"
    fits = "yes" if provider.business else "no"
    imap = {"": "–", "=": "by IMAP at the same host"}.get(provider.imap, f"by IMAP at {provider.imap}")
    kept = "by itself" if provider.keeps_sent else imap
    return f"| [{provider.name}]({STEPS.name}#{anchor(provider.name)}) | {where} | {user} | {most} | {kept} | {fits} |"


def _troubles() -> str:
    """Return provider × fault × sentence: those who share a sentence stand together."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for provider in providers():
        for trouble in provider.trouble:
            faults = ", ".join(f"`{kind.value}`" for kind in trouble.failures)
            shared.setdefault((faults, trouble.texts["en"], trouble.texts["fr"]), []).append(provider.name)
    rows = ["| providers | fault | English | French |", "|---|---|---|---|"]
    for (faults, english, french), names in shared.items():
        said = [text % {"provider": "*provider*"} for text in (english, french)]
        rows.append(f"| {', '.join(names)} | {faults} | {said[0]} | {said[1]} |")
    return "\n".join(rows) + "\n"


FRENCH = ROOT / "core" / "translations" / "fr" / "LC_MESSAGES" / "messages.po"
TO = "you@example.org"
PARTS = Parts(Address("post@example.com"), None, (Address(TO),), (), "", "", "", (), ())
HTML = b"<html>"

SMTP: list[tuple[Stage, str]] = [
    (Stage.AUTH, "535 5.7.8 Authentication credentials invalid"),
    (Stage.AUTH, "534 5.7.9 Application-specific password required"),
    (Stage.AUTH, "530 5.7.0 Must issue a STARTTLS command first"),
    (Stage.MAIL, "553 5.7.1 Sender address rejected: not owned by user"),
    (Stage.MAIL, "552 5.3.4 Message size exceeds fixed limit"),
    (Stage.RCPT, "550 5.1.1 User unknown"),
    (Stage.RCPT, "452 4.2.2 Mailbox full"),
    (Stage.RCPT, "450 4.2.0 Greylisted, try again later"),
    (Stage.RCPT, "554 5.7.1 Relay access denied"),
    (Stage.BODY, "550 5.7.1 Message rejected as spam"),
    (Stage.BODY, "450 4.7.1 Too many messages, slow down"),
    (Stage.BODY, "421 4.3.2 Service shutting down"),
]


def _sendgrid(words: str, field: str | None = None) -> bytes:
    return json.dumps({"errors": [{"message": words, "field": field}]}).encode()


def _postmark(code: int, words: str, *, batch: bool = True) -> bytes:
    error = {"ErrorCode": code, "Message": words}
    return json.dumps([error] if batch else error).encode()


UNVERIFIED = "The from address does not match a verified Sender Identity."
RELAYS: list[tuple[str, Relay, int, str, bytes]] = [
    ("SendGrid", SendGrid(), 401, "“authorization required”", _sendgrid("authorization required")),
    ("SendGrid", SendGrid(), 401, "“Maximum credits exceeded”", _sendgrid("Maximum credits exceeded")),
    ("SendGrid", SendGrid(), 403, "“access forbidden”", _sendgrid("access forbidden")),
    ("SendGrid", SendGrid(), 403, f"from: “{UNVERIFIED}”", _sendgrid(UNVERIFIED, "from")),
    (
        "SendGrid", SendGrid(), 400, "personalizations.0.to.0.email: “Does not contain a valid address.”",
        _sendgrid("Does not contain a valid address.", "personalizations.0.to.0.email"),
    ),
    (
        "SendGrid", SendGrid(), 400, "another field",
        _sendgrid("The content value must be a string at least one character in length.", "content.0.value"),
    ),
    (
        "Postmark", Postmark(), 401, "“Request does not contain a valid Server token.” (10)",
        _postmark(10, "Request does not contain a valid Server token.", batch=False),
    ),
    (
        "Postmark", Postmark(), 200, "“… is not a Sender Signature on your account.” (400)",
        _postmark(400, "The 'From' address you supplied (a@b.example) is not a Sender Signature on your account."),
    ),
    (
        "Postmark", Postmark(), 200, "“… marked as inactive …” (406)",
        _postmark(406, f"You tried to send to recipients that have been marked as inactive: {TO}."),
    ),
    (
        "Postmark", Postmark(), 200, "“Illegal email address …” (300)",
        _postmark(300, f"Error parsing 'To': Illegal email address '{TO}'."),
    ),
    (
        "Postmark", Postmark(), 200, "“… run out of credits” (405)",
        _postmark(405, "Not allowed to send: Your account has run out of credits."),
    ),
    ("both", SendGrid(), 413, "", b""),
    ("both", SendGrid(), 429, "Retry-After is kept, up to an hour", b""),
    ("both", SendGrid(), 503, "", b""),
    ("both", SendGrid(), 500, "in JSON", _sendgrid("Internal error")),
    ("both", SendGrid(), 500, "a web page; likewise 502, 504, and a 200 that is no answer", HTML),
    ("both", SendGrid(), 302, "or another redirect, 404, a 403 in HTML", HTML),
]  # fmt: skip


def _answers() -> str:
    """Return who × answer × sentence; nothing is written by hand but the answers."""
    with FRENCH.open("rb") as file:
        french = {str(one.id): str(one.string) for one in read_po(file) if isinstance(one.id, str)}
    lines = ["| who | answer | kind | then | English | French |", "|---|---|---|---|---|---|"]
    for who, answer, failure, of_server in _failures():
        said = str(ADVICE[failure.advice].text if failure.advice else EXPLANATIONS[failure.kind].text)
        cells = (
            who,
            answer,
            f"`{failure.kind.value}`",
            _then(failure, of_server=of_server),
            said,
            french[said],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _then(failure: Failure, *, of_server: bool) -> str:
    if of_server:
        return "waits for the server"
    if failure.slows_server:
        return "later, and slower"
    return "tried again" if failure.temporary else "a person decides"


def _failures() -> Iterator[tuple[str, str, Failure, bool]]:
    for stage, text in SMTP:
        code, _, words = text.partition(" ")
        failure = explain_reply(Reply.parse(int(code), words), stage)
        yield f"SMTP, {stage.value.upper()}", text, failure, stage in BEFORE_THE_MAIL
    people: Addressees = addressees(PARTS, [TO])
    for who, relay, status, words, body in RELAYS:
        verdict = relay.verdict(Answer(status, {}, body), [TO], people)
        refused = verdict.refused
        failure_of_one = refused.failure if refused is not None else verdict.outcomes[TO].failure
        if failure_of_one is not None:
            of_server = refused is not None and refused.of_server
            yield who, f"HTTP {status} {words}".rstrip(), failure_of_one, of_server


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    STEPS.write_text(provider_steps.page(), encoding="utf-8")
