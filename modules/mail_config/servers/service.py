"""The verbs of mail servers: save, test, find."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flask_babel import gettext
from sqlalchemy import false, select

from core import clock
from core.companies.models import Company
from core.contract import TransportSpec
from core.db import db, end_reading, on_commit, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, normalize
from core.mail.outcomes import Advice, Failure, RecipientState
from core.registry import current_registry
from core.signals import mail_server_ready
from core.vault import encrypt
from modules.mail_config.message import MailMessage
from modules.mail_config.models import SMTP, Encryption, MailServer
from modules.mail_config.servers import circuit_breaker, connection_limit, rate_limiter, sent_folder
from modules.mail_config.servers.access import open_transport
from modules.mail_config.servers.envelopes import CHOICE, envelope_for
from modules.mail_config.servers.spelling import (
    clean_certificate,
    clean_from_filter,
    clean_host,
    clean_own_address,
)
from modules.mail_config.signing.keys import domain_of
from modules.mail_config.transports.base import Step, StepTaken
from modules.mail_config.transports.certificates import Certificate, certificate_shown_by

ABOUT_CERTIFICATES = frozenset(
    {
        Advice.CERTIFICATE_EXPIRED,
        Advice.CERTIFICATE_NOT_YET_VALID,
        Advice.CERTIFICATE_NAME,
        Advice.CERTIFICATE_UNTRUSTED,
    }
)
"""Failures for which the certificate itself is worth a look."""

_UNASKED: dict[str, object] = {
    "port": 0,
    "encryption": Encryption.TLS,
    "username": "",
    "ca_certificate": "",
    "bounce_address": "",
    "bounce_tokens": False,
    CHOICE: None,
}
"""What a server has of which its kind does not ask."""

TEST_TIMEOUT_SECONDS = 15.0  # for each answer; somebody sits before the page
COPY_SECONDS = 45.0  # for the copy as a whole
TEST_TOKEN = "test"  # noqa: S105 (no secret); proves that the server takes senders with a token


_PROTECTION = {Encryption.NONE: 0, Encryption.STARTTLS: 1, Encryption.TLS: 1}
"""How well a password is protected on the way."""


def save_server(server: MailServer | None, values: dict[str, Any], password: str | None) -> MailServer:
    """Create or change a server; a change of anything that the test proves asks for a new test.

    Args:
        server: The server to change, or None for a new one.
        values: Column values.
        password: A new password; "" to forget the present one; None to keep it.

    Raises:
        UserError: There is no such kind, host, From filter, own address or certificate is malformed,
            a relay has no address, or what it needs for signing in is not all there.
    """
    transport = str(values.get("transport") or (server.transport if server is not None else SMTP))
    spec = current_registry().transports.get(transport)
    if spec is None:
        raise UserError(_l("There is no such kind of mail server."), "transport")
    values = _cleaned(values, spec)
    copies = sent_folder.taken_from(values)
    with transaction() as session:
        if server is not None and server.transport != transport:
            # What was typed for one kind is never told to another.
            password = password or ""
        if (
            server is not None
            and password is None
            and server.secret
            and (_goes_elsewhere(server, values) or sent_folder.goes_elsewhere(server, copies))
        ):
            raise UserError(
                _l("Host, port, user or encryption has changed: type the password again."), "password"
            )
        server = server or MailServer()
        if server.account is not None and (password or _goes_elsewhere(server, values)):
            raise UserError(
                _l(
                    "This server is signed in to by a connected account: host, port, user and encryption are its "
                    "provider's. Disconnect the account to change them."
                ),
                "host",
            )
        former_rates = (server.rate_per_minute, server.rate_per_hour, server.rate_per_day)
        former_connections = server.connections
        for name, value in values.items():
            setattr(server, name, value)
        if password is not None:
            server.secret = encrypt(password) if password else None
        _check_sign_in(server, spec)
        session.add(server)
        sent_folder.apply(server, copies)
        session.flush()
        if former_rates != (server.rate_per_minute, server.rate_per_hour, server.rate_per_day):
            rate_limiter.reset_slots(server.id)
        if former_connections != server.connections:
            connection_limit.forget_lowered(server.id)
        if server.active and server.ready:
            # It may be new to a sender: a wider filter, another company, switched on again.
            on_commit(partial(circuit_breaker.tell, mail_server_ready, server.id))
    return server


def _check_sign_in(server: MailServer, spec: TransportSpec) -> None:
    """Raise a UserError unless a server has all, or nothing, of what its kind needs for signing in."""
    if "username" in spec.fields and server.secret and not server.username:
        raise UserError(_l("A password needs a user name."), "username")
    if "password" in spec.fields and "username" not in spec.fields and not server.secret:
        raise UserError(_l("Type the key that the provider has given you."), "password")
    if server.username and not server.secret and server.account is None:
        raise UserError(_l("This user name needs its password; without both, nobody signs in."), "password")


def _cleaned(values: dict[str, Any], spec: TransportSpec) -> dict[str, Any]:
    """Return the values of a server in the spelling in which they are kept; errors as for `save_server`."""
    values = {**values, **{name: empty for name, empty in _UNASKED.items() if name not in spec.fields}}
    if "sent_copy" not in spec.fields:
        values["sent_copy"] = False
    values = {
        **values,
        "host": clean_host(str(values.get("host", ""))) if "host" in spec.fields else spec.host,
        "from_filter": clean_from_filter(str(values.get("from_filter", ""))),
    }
    if "own_address" in values:
        values["own_address"] = clean_own_address(
            str(values["own_address"] or ""), relay=bool(values.get("relay"))
        )
    if "ca_certificate" in values:
        values["ca_certificate"] = clean_certificate(str(values["ca_certificate"] or ""))
    if bounce_address := str(values.get("bounce_address") or "").strip():
        values["bounce_address"] = normalize(bounce_address, "bounce_address")
    return values


def _goes_elsewhere(server: MailServer, values: dict[str, Any]) -> bool:
    """Return True when the password that was saved would go to another place, for another user, or less protected.

    Another port of the host may be another program's, and what is encrypted less is read on the way.
    """
    if values.get("transport", server.transport) != server.transport:
        return True
    host, port, user = server.host.lower(), server.port, server.username
    new = values["host"].lower(), values.get("port", port), values.get("username", user)
    weaker = (
        _PROTECTION[Encryption(values.get("encryption", server.encryption))] < _PROTECTION[server.encryption]
    )
    return (host, port, user) != new or weaker


@dataclass(frozen=True, slots=True)
class TestReport:
    """The result of the test of a server.

    Attributes:
        passed: True when the server accepted the test mail.
        recipient: Where the test mail went.
        failure: Why not, or None.
        transcript: The dialogue, line by line, without secrets.
        steps: What was tried, in order, up to the step that failed.
        certificate: What the server showed where it was not trusted, or None.
        copy_failure: Why no copy was put into the Sent folder, or None; mails leave all the same.
        copy_steps: What was tried for that, in order; nothing where no copies are kept.
        copy_folder: Where the copy lies, or "".
        domain: Of the From, which may be checked as well.
    """

    __test__ = False  # not a test of pytest

    passed: bool
    recipient: str
    failure: Failure | None
    transcript: Sequence[str]
    steps: tuple[StepResult, ...] = ()
    certificate: Certificate | None = None
    copy_failure: Failure | None = None
    copy_steps: tuple[StepResult, ...] = ()
    copy_folder: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step of a test.

    Attributes:
        step: Which.
        seconds: How long it took; None where it was not reached.
        passed: False for the one that failed, and those behind it.
        detail: What it has found, or "".
    """

    step: Step
    seconds: float | None
    passed: bool
    detail: str = ""


def _results(
    taken: Sequence[StepTaken], ended: float, walk: Sequence[Step], *, passed: bool
) -> tuple[StepResult, ...]:
    """Return each step of a walk with its time; the one that failed is the last begun."""
    ends = [step.began for step in taken[1:]] + [ended]
    results = [
        StepResult(step.step, end - step.began, passed or step is not taken[-1], step.detail)
        for step, end in zip(taken, ends, strict=True)
    ]
    reached = {step.step for step in taken}
    return (*results, *(StepResult(step, None, False) for step in walk if step not in reached))


def test_server(server: MailServer, recipient: str, from_addr_spec: str) -> TestReport:
    """Walk the whole dialogue with a server and send a real test mail; remember when it passes.

    Args:
        server: The server.
        recipient: Where the test mail goes.
        from_addr_spec: From; must pass the server's filter.

    Raises:
        UserError: An address is invalid, the filter refuses the From, or the server is unusable by itself
            (`UnusableServerError`).
    """
    recipient, from_addr_spec = normalize(recipient), normalize(from_addr_spec)
    if not server.accepts(from_addr_spec):
        raise UserError(
            _l("The From filter of this server does not take %(address)s.", address=from_addr_spec),
            "from_address",
        )
    fingerprint = server.fingerprint
    server_id = server.id
    message_id = f"<test.{secrets.token_hex(12)}@{from_addr_spec.rpartition('@')[2]}>"
    message = MailMessage(
        message_id=message_id,
        timestamp=clock.now().timestamp(),
        sender=Address(from_addr_spec, "Envoi"),
        to=[Address(recipient)],
        subject=gettext("Envoi: test of the mail server “%(name)s”", name=server.name),
        text=gettext("This email shows that the mail server works."),
        html=f"<p>{gettext('This email shows that the mail server works.')}</p>",
        headers={"Auto-Submitted": "auto-generated"},
    ).as_bytes()
    connection = open_transport(server, timeout=TEST_TIMEOUT_SECONDS)
    envelope = envelope_for(server, from_addr_spec, recipient, TEST_TOKEN)
    end_reading()
    try:
        submission = connection.submit(message, envelope, lambda: None)
        ended = time.monotonic()
    finally:
        connection.close()
    failure = submission.failure or next((o.failure for o in submission.outcomes if o.failure), None)
    passed = failure is None and all(o.state is RecipientState.ACCEPTED for o in submission.outcomes)
    if passed or submission.failure is not None:
        # A refused recipient says nothing about the server: a mistyped address must not stop it.
        _remember(server_id, fingerprint, passed=passed)
    # Only then is it worth another connection to show what was not trusted.
    access = connection.access if failure is not None and failure.advice in ABOUT_CERTIFICATES else None
    report = TestReport(
        passed,
        recipient,
        failure,
        submission.transcript,
        _results(submission.steps, ended, connection.walk, passed=passed),
        certificate_shown_by(access) if access is not None else None,
        domain=domain_of(from_addr_spec),
    )
    return _with_copy(report, server_id, message, message_id) if passed else report


def _with_copy(report: TestReport, server_id: int, message: bytes, message_id: str) -> TestReport:
    """Put the test mail into the Sent folder as well, where copies are kept; that says nothing about sending."""
    server = db.session.get(MailServer, server_id)
    if server is None or server.sent_folder is None:
        end_reading()
        return report
    tested = sent_folder.test_copy(
        server, message, message_id, timeout=TEST_TIMEOUT_SECONDS, seconds=COPY_SECONDS
    )
    passed = tested.failure is None
    return replace(
        report,
        copy_failure=tested.failure,
        copy_steps=_results(tested.taken, tested.ended, sent_folder.WALK, passed=passed),
        copy_folder=tested.folder,
    )


test_server.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


def _remember(server_id: int, fingerprint: str, *, passed: bool) -> None:
    with transaction() as session:
        server = session.get(MailServer, server_id)
        if server is None or server.fingerprint != fingerprint:
            return  # changed meanwhile: what was tested is not what there is now
        server.tested_fingerprint = fingerprint if passed else ""
        server.tested_at = clock.now()
        if passed:
            circuit_breaker.forget_failures(server_id)
            on_commit(partial(circuit_breaker.tell, mail_server_ready, server_id))


def servers() -> list[MailServer]:
    """Return all servers, active ones first, by priority."""
    return list(
        db.session.scalars(
            select(MailServer).order_by(MailServer.active == false(), MailServer.priority, MailServer.id)
        )
    )


def find_server(name: str) -> MailServer:
    """Return a server by name or id.

    Raises:
        UserError: There is none, or several share the name.
    """
    condition = MailServer.id == int(name) if name.isascii() and name.isdigit() else MailServer.name == name
    found = list(db.session.scalars(select(MailServer).where(condition)))
    if len(found) != 1:
        raise UserError(
            _l("Several servers are named %(name)s; give the id.", name=name)
            if found
            else _l("There is no mail server %(name)s.", name=name)
        )
    return found[0]


def default_from(company: Company | None) -> str:
    """Return the address that tests are sent from."""
    return company.email if company is not None and company.email else "envoi@example.com"
