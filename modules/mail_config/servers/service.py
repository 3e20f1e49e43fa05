"""The verbs of mail configuration: servers, their tests, the route of a mail."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask_babel import gettext
from sqlalchemy import false, select, true

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading, on_commit, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, normalize
from core.mail.outcomes import Failure, FailureKind, RecipientState
from core.signals import mail_server_ready
from core.vault import encrypt
from modules.mail_config.message import MailMessage
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers import circuit_breaker, health, rate_limiter
from modules.mail_config.servers.access import open_transport
from modules.mail_config.servers.return_path import return_path
from modules.mail_config.transports.base import Envelope

TEST_TIMEOUT_SECONDS = 15.0  # for each answer; somebody sits before the page
TEST_TOKEN = "test"  # noqa: S105 (no secret); proves that the server takes senders with a token


_PROTECTION = {Encryption.NONE: 0, Encryption.STARTTLS: 1, Encryption.TLS: 1}
"""How well a password is protected on the way."""


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
    """

    server_id: int | None
    server_name: str
    header_from: Address
    reply_to: Address | None
    why: tuple[str, ...]
    problem: FailureKind | None = None


def route_for(company: Company, sender: User | None, reply_to: Address | None = None) -> Route:
    """Choose server, From and Reply-To for a mail of a company.

    The From is the company's address; answers go to the person who sends, unless the template says
    otherwise. Of the active servers whose From filter takes that address, the company's own come first,
    then those of lower priority number; one that has not passed its test is passed over while another
    has.

    Args:
        company: Who issues the document.
        sender: Who presses Send, or None for the system.
        reply_to: What the template says, or None.
    """
    from_address = Address(company.email, company.name)
    answer = reply_to
    if answer is None and sender is not None and sender.login != company.email:
        answer = Address(sender.login, sender.name)
    why = [gettext("From: the address of %(company)s.", company=company.name)]
    if answer is not None:
        why.append(
            gettext("Answers go to %(address)s.", address=reply_to.addr_spec)
            if reply_to is not None
            else gettext("Answers go to %(name)s, who sends.", name=answer.display_name or answer.addr_spec)
        )
    if not company.email:
        why = [gettext("%(company)s has no email address to send from.", company=company.name)]
        return Route(None, "", from_address, answer, tuple(why), FailureKind.SENDER_MISSING)
    servers = candidates(company.id, company.email)
    if not servers:
        why.append(gettext("No active mail server may send from %(address)s.", address=company.email))
        return Route(None, "", from_address, answer, tuple(why), FailureKind.SERVER_MISSING)
    server = best_of(servers)
    why.append(
        gettext(
            "Server “%(name)s”: the first by priority whose From filter takes this address.", name=server.name
        )
    )
    problem = problem_of(server)
    if server is not servers[0] and not problem:
        why.append(gettext("One of higher priority is passed over: it is untested or paused."))
    return Route(server.id, server.name, from_address, answer, tuple(why), problem)


def best_of(servers: Sequence[MailServer]) -> MailServer:
    """Return the server to use of those that may: the first that works, else the first that was tested."""
    stopped = circuit_breaker.paused_among([server.id for server in servers])
    ready = [server for server in servers if server.ready]
    return next((server for server in ready if server.id not in stopped), (ready or list(servers))[0])


def problem_of(server: MailServer) -> FailureKind | None:
    """Return why nothing leaves by a server now, or None."""
    if not server.ready:
        return FailureKind.SERVER_UNTESTED
    known = health.health_of(server.id)
    return known.failure_kind if known is not None and known.open_since is not None else None


def candidates(company_id: int, from_addr_spec: str) -> list[MailServer]:
    """Return the active servers that may send from an address, best first."""
    rows = db.session.scalars(
        select(MailServer)
        .where(
            MailServer.active == true(),
            (MailServer.company_id == company_id) | MailServer.company_id.is_(None),
        )
        .order_by(MailServer.company_id.is_(None), MailServer.priority, MailServer.id)
    )
    return [server for server in rows if server.accepts(from_addr_spec)]


def save_server(server: MailServer | None, values: dict[str, Any], password: str | None) -> MailServer:
    """Create or change a server; a change of anything that the test proves asks for a new test.

    Args:
        server: The server to change, or None for a new one.
        values: Column values.
        password: A new password; "" to forget the present one; None to keep it.

    Raises:
        UserError: The host or an entry of the From filter is malformed, or a password has no user name.
    """
    host = str(values.get("host", "")).strip()
    if not host or any(character.isspace() or ord(character) < 33 for character in host) or "/" in host:
        raise UserError(_l("This is not the name of a host."), "host")
    values = {**values, "host": host, "from_filter": clean_from_filter(str(values.get("from_filter", "")))}
    if bounce_address := str(values.get("bounce_address") or "").strip():
        try:
            values["bounce_address"] = normalize(bounce_address)
        except UserError as error:
            raise UserError(error.message, "bounce_address") from error
    with transaction() as session:
        if server is not None and password is None and server.secret and _goes_elsewhere(server, values):
            raise UserError(
                _l("Host, port, user or encryption has changed: type the password again."), "password"
            )
        server = server or MailServer()
        former_rates = (server.rate_per_minute, server.rate_per_day)
        for name, value in values.items():
            setattr(server, name, value)
        if password is not None:
            server.secret = encrypt(password) if password else None
        if server.secret and not server.username:
            raise UserError(_l("A password needs a user name."), "username")
        session.add(server)
        session.flush()
        if former_rates != (server.rate_per_minute, server.rate_per_day):
            rate_limiter.reset_slots(server.id)
        if server.active and server.ready:
            # It may be new to a sender: a wider filter, another company, switched on again.
            on_commit(partial(circuit_breaker.tell, mail_server_ready, server.id))
    return server


def _goes_elsewhere(server: MailServer, values: dict[str, Any]) -> bool:
    """Return True when the password that was saved would go to another place, for another user, or less protected.

    Another port of the host may be another program's, and what is encrypted less is read on the way.
    """
    host, port, user = server.host.lower(), server.port, server.username
    new = values["host"].lower(), values.get("port", port), values.get("username", user)
    weaker = (
        _PROTECTION[Encryption(values.get("encryption", server.encryption))] < _PROTECTION[server.encryption]
    )
    return (host, port, user) != new or weaker


def clean_from_filter(text: str) -> str:
    """Return a From filter in its usual form.

    Raises:
        UserError: An entry is neither an address nor a domain.
    """
    entries = []
    for entry in text.replace(";", ",").replace("\n", ",").split(","):
        entry = entry.strip().lower().lstrip("@")  # noqa: PLW2901 (the cleaned entry takes its place)
        if not entry:
            continue
        try:
            address = normalize(entry if "@" in entry else f"postmaster@{entry}")
        except UserError as error:
            raise UserError(
                _l("“%(entry)s” is neither an address nor a domain.", entry=entry[:80]), "from_filter"
            ) from error
        entries.append(address if "@" in entry else address.partition("@")[2])
    return ", ".join(dict.fromkeys(entries))


@dataclass(frozen=True, slots=True)
class TestReport:
    """The result of the test of a server.

    Attributes:
        passed: True when the server accepted the test mail.
        recipient: Where the test mail went.
        failure: Why not, or None.
        transcript: The dialogue, line by line, without secrets.
    """

    __test__ = False  # not a test of pytest

    passed: bool
    recipient: str
    failure: Failure | None
    transcript: Sequence[str]


def test_server(server: MailServer, recipient: str, from_addr_spec: str) -> TestReport:
    """Walk the whole dialogue with a server and send a real test mail; remember when it passes.

    Args:
        server: The server.
        recipient: Where the test mail goes.
        from_addr_spec: From; must pass the server's filter.

    Raises:
        UserError: An address is invalid, the filter refuses the From, or the saved password cannot be read.
    """
    recipient, from_addr_spec = normalize(recipient), normalize(from_addr_spec)
    if not server.accepts(from_addr_spec):
        raise UserError(
            _l("The From filter of this server does not take %(address)s.", address=from_addr_spec),
            "from_address",
        )
    fingerprint = server.fingerprint
    server_id = server.id
    message = MailMessage(
        message_id=f"<test.{secrets.token_hex(12)}@{from_addr_spec.rpartition('@')[2]}>",
        timestamp=clock.now().timestamp(),
        sender=Address(from_addr_spec, "Envoi"),
        to=[Address(recipient)],
        subject=gettext("Envoi: test of the mail server “%(name)s”", name=server.name),
        text=gettext("This email shows that the mail server works."),
        html=f"<p>{gettext('This mail shows that the mail server works.')}</p>",
        headers={"Auto-Submitted": "auto-generated"},
    ).as_bytes()
    connection = open_transport(server, timeout=TEST_TIMEOUT_SECONDS)
    envelope = Envelope(return_path(server, from_addr_spec, TEST_TOKEN), (recipient,))
    end_reading()
    try:
        submission = connection.submit(message, envelope, lambda: None)
    finally:
        connection.close()
    failure = submission.failure or next((o.failure for o in submission.outcomes if o.failure), None)
    passed = failure is None and all(o.state is RecipientState.ACCEPTED for o in submission.outcomes)
    if passed or submission.failure is not None:
        # A refused recipient says nothing about the server: a mistyped address must not stop it.
        _remember(server_id, fingerprint, passed=passed)
    return TestReport(passed, recipient, failure, submission.transcript)


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
