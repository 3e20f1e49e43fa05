"""Senders: what the rule is told, and how users and companies set theirs up."""

from __future__ import annotations

from sqlalchemy import or_, select, true

from core.auth.models import User
from core.companies.models import Company
from core.db import db, on_commit, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, normalize, one_line
from core.mail.draft import Purpose
from modules.mail_config.models import CompanySender, MailServer, ServerHealth, UserSender
from modules.mail_config.senders.rule import Facts, Route, decide
from modules.mail_config.servers.circuit_breaker import tell_routes_changed


def route_for(
    company: Company,
    sender: User | None,
    reply_to: Address | None = None,
    *,
    purpose: Purpose = Purpose.SINGLE,
    fixed: Address | None = None,
) -> Route:
    """Return how a mail of a company leaves at this moment, by `rule.decide`.

    Args:
        company: Who issues the document.
        sender: Who presses Send, or None for the system.
        reply_to: What the template or the person says, or None.
        purpose: What the mail is for.
        fixed: The From that an earlier attempt has fixed, or None.
    """
    mine = MailServer.owner_id == sender.id if sender is not None else MailServer.owner_id.is_(None)
    servers = db.session.scalars(
        select(MailServer).where(
            MailServer.active == true(),
            or_(MailServer.owner_id.is_(None), mine),
            or_(MailServer.company_id == company.id, MailServer.company_id.is_(None)),
        )
    ).all()
    paused = db.session.execute(
        select(ServerHealth.server_id, ServerHealth.failure_kind).where(
            ServerHealth.server_id.in_([server.id for server in servers]),
            ServerHealth.open_since.is_not(None),
        )
    )
    return decide(
        Facts(
            company=company,
            purpose=purpose,
            user=sender,
            own=db.session.get(UserSender, sender.id) if sender is not None else None,
            company_sender=db.session.get(CompanySender, (company.id, purpose)),
            servers=servers,
            paused={row.server_id: row.failure_kind for row in paused},
            reply_to=reply_to,
            fixed=fixed,
        )
    )


def own_sender(user: User) -> UserSender | None:
    """Return the own sender of a user, or None while the mails are from the company."""
    return db.session.get(UserSender, user.id)


def own_server(user: User) -> MailServer | None:
    """Return the own server of a user, or None."""
    return db.session.scalar(select(MailServer).where(MailServer.owner_id == user.id))


def save_own_sender(user: User, *, address: str, name: str, own_server: bool) -> None:
    """Set up the own sender of a user.

    Args:
        user: Whose it is.
        address: From; "" to be as the company says.
        name: Its display name; "" for the user's name.
        own_server: True to send by the user's own server.

    Raises:
        UserError: The address is invalid.
    """
    address = _address(address, "address")
    if own_server and not address:
        raise UserError(_l("Your own mail server needs the address that it sends from."), "address")
    with transaction() as session:
        row = session.get(UserSender, user.id, with_for_update=True)
        if not address:
            if row is not None:
                session.delete(row)
        else:
            if row is None:
                row = UserSender(user_id=user.id, allowed_address="")
                session.add(row)
            row.address, row.name, row.own_server = address, one_line(name), own_server
        on_commit(tell_routes_changed)


def allow_address(user_id: int, address: str) -> None:
    """Let the company's servers send from the own address of a user.

    Raises:
        UserError: The user has another address meanwhile, so it is not the one that was looked at.
    """
    with transaction() as session:
        row = session.get(UserSender, user_id, with_for_update=True, populate_existing=True)
        if row is None or row.address != address:
            raise UserError(_l("This address was changed meanwhile. Look at it again."))
        row.allowed_address = row.address
        on_commit(tell_routes_changed)


def save_company_sender(
    company: Company, purpose: Purpose, *, address: str, name: str, reply_to: str, server_id: int | None
) -> None:
    """Set up who the mails of a company are from, for one purpose; nothing given means: as usual.

    Raises:
        UserError: An address is invalid, or the server does not serve this company.
    """
    address, reply_to = _address(address, "address"), _address(reply_to, "reply_to")
    server = db.session.get(MailServer, server_id) if server_id is not None else None
    if server_id is not None and (
        server is None or server.owner_id is not None or server.company_id not in {None, company.id}
    ):
        raise UserError(_l("This server does not send for this company."), "server_id")
    with transaction() as session:
        row = session.get(CompanySender, (company.id, purpose), with_for_update=True)
        if not (address or name.strip() or reply_to or server_id):
            if row is not None:
                session.delete(row)
        else:
            if row is None:
                row = CompanySender(company_id=company.id, purpose=purpose)
                session.add(row)
            row.address, row.name, row.reply_to = address, one_line(name), reply_to
            row.server_id = server_id
        on_commit(tell_routes_changed)


def let_answers_come_to(company: Company, address: str) -> None:
    """Let the answers to what a company writes go to one address, whatever the purpose; "" for as usual.

    Whoever writes from an own address gets the answers there as before.

    Raises:
        UserError: The address is invalid.
    """
    with transaction() as session:
        for purpose in (Purpose.SINGLE, Purpose.BATCH, Purpose.RECEIPT):
            row = session.get(
                CompanySender, (company.id, purpose), with_for_update=True, populate_existing=True
            )
            save_company_sender(
                company,
                purpose,
                address=row.address if row else "",
                name=row.name if row else "",
                reply_to=address,
                server_id=row.server_id if row else None,
            )


def _address(text: str, field: str) -> str:
    return normalize(text, field) if text.strip() else ""
