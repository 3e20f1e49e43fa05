"""Registers, payment methods, settings, sessions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.service import mail_templates
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import parse_addresses
from core.mail.draft import safe_file_name
from core.totals import LARGEST_AMOUNT
from modules.pos.models import Payment, PaymentMethod, Register, Session, Ticket, TillSettings
from modules.pos.states import TICKET, PaymentKind, ReceiptFormat, SessionState

FILE_FIELDS = ("register", "number", "company", "date")


class SessionOpenError(UserError):
    """A register is open already."""


class UnexplainedDifferenceError(UserError):
    """The cash that was counted is not what should be there, and nobody has said why.

    Args:
        difference: What was counted, less what should be there, in the currency of the company.
    """

    def __init__(self, difference: Decimal) -> None:
        super().__init__(
            _l("It differs from what should be there. Count again, or say why."),
            "note",
        )
        self.difference = difference


def check_pattern(pattern: str) -> str:
    """Return a pattern of file names that can be filled in.

    Raises:
        UserError: It names something else than `FILE_FIELDS`, or its braces do not match.
    """
    # Tried once with every field; a brace that is left is a field that nobody fills.
    name = _filled(pattern, dict.fromkeys(FILE_FIELDS, "x"))
    if "{" in name or "}" in name:
        raise UserError(
            _l("The file name may use {register}, {number}, {company} and {date}."), "file_pattern"
        )
    if not name.strip():
        raise UserError(_l("The file name is empty."), "file_pattern")
    return pattern.strip()


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
    """Return a pattern with its fields filled in; nothing of `str.format` beyond a plain name."""
    # Not `str.format`: by `{register.__class__}` it would lead into the program.
    return re.sub(r"\{(\w+)\}", lambda match: fields.get(match[1], match[0]), pattern)


def receipt_name(ticket: Ticket, company: str) -> str:
    """Return the file name of a ticket's PDF by the pattern of its register: `C1-000004-BRICO.pdf`."""
    fields = {
        "register": ticket.register.code,
        "number": f"{ticket.sequence:06d}",
        "company": "_".join(company.split()),
        "date": ticket.document.date.isoformat(),
    }
    name = _filled(ticket.register.file_pattern, fields)
    return safe_file_name(name if name.lower().endswith(".pdf") else f"{name}.pdf")


def save_register(register: Register | None, values: dict[str, Any]) -> Register:
    """Create or change a register.

    Args:
        register: The register to change, or None for a new one.
        values: Column values.

    Raises:
        UserError: The company has another register of this code, or the pattern of file names is wrong.
    """
    with transaction() as session:
        # Its numbers are printed on receipts: with another code they would lead nowhere, or to another register.
        if register is not None and values.get("code", register.code) != register.code and _sold(register):
            raise UserError(_l("Its receipts carry this code: it stays as it is."), "code")
        register = register or Register()
        for name, value in values.items():
            setattr(register, name, value)
        if "file_pattern" in values:
            register.file_pattern = check_pattern(str(values["file_pattern"]))
        session.add(register)
        try:
            session.flush()
        except IntegrityError as error:
            raise UserError(_l("Another till of the company has this code."), "code") from error
    return register


def _sold(register: Register) -> bool:
    own = select(Ticket.document_id).where(Ticket.register_id == register.id).limit(1)
    return db.session.scalar(own) is not None


def save_method(method: PaymentMethod | None, values: dict[str, Any]) -> PaymentMethod:
    """Create or change a payment method; tickets that were paid with it keep its former name."""
    with transaction() as session:
        method = method or PaymentMethod()
        for name, value in values.items():
            setattr(method, name, value)
        session.add(method)
        session.flush()
    return method


def used_by(company_id: int) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the payment methods of a company and those of all companies."""
    return or_(PaymentMethod.company_id.is_(None), PaymentMethod.company_id == company_id)


def methods_of(company_id: int) -> list[PaymentMethod]:
    """Return the active payment methods of a company, in their order."""
    return list(
        db.session.scalars(
            select(PaymentMethod)
            .where(PaymentMethod.active, used_by(company_id))
            .order_by(PaymentMethod.position, PaymentMethod.id)
        )
    )


def settings_of(company_id: int) -> TillSettings:
    """Return the settings of a company; the defaults where nobody has set any."""
    return db.session.get(TillSettings, company_id) or TillSettings(
        company_id=company_id,
        propose_mail=True,
        to_customer=True,
        to_main_contact=False,
        fixed_addresses="",
        keep_days=None,
        footer="",
        receipt_format=ReceiptFormat.ROLL_80,
        template_id=None,
    )


def ticket_templates(company_id: int) -> list[tuple[int, str]]:
    """Return id and name of each mail template that a company may choose for its receipts."""
    return mail_templates(db.session.get_one(Company, company_id), TICKET)


def paper_of(register: Register) -> ReceiptFormat:
    """Return the paper of a register: its own, else that of its company."""
    return register.receipt_format or settings_of(register.company_id).receipt_format


def save_settings(company_id: int, values: dict[str, Any]) -> TillSettings:
    """Change the settings of a company.

    Raises:
        UserError: One of the fixed addresses is none, or the template is not one for tickets of this company.
    """
    _found, errors = parse_addresses(str(values.get("fixed_addresses", "")))
    for error in errors:
        raise UserError(error.message, "fixed_addresses")
    template_id = values.get("template_id")
    if template_id is not None and template_id not in dict(ticket_templates(company_id)):
        raise UserError(_l("This email template is not there any more."), "template_id")
    with transaction() as session:
        row = session.get(TillSettings, company_id) or TillSettings(company_id=company_id)
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)
        session.flush()
    return row


def open_session_of(register_id: int, *, for_sale: bool = False) -> Session | None:
    """Return the open session of a register, or None.

    Args:
        register_id: The register.
        for_sale: True to keep it from being closed until the running transaction ends.
    """
    query = select(Session).where(Session.register_id == register_id, Session.state == SessionState.OPEN)
    if for_sale:
        # Shared among sales, against the close: tickets need not wait for each other, only the count for the
        # tickets.
        query = query.with_for_update(read=True, of=Session).execution_options(populate_existing=True)
    return db.session.scalar(query)


def last_count(register_id: int) -> Decimal | None:
    """Return what was in the drawer when a register was last closed, or None where it never was.

    What was counted in a former currency of the company is none of its present one.
    """
    return db.session.scalar(
        select(Session.counted_cash)
        .join(Register, Register.id == Session.register_id)
        .join(Company, Company.id == Register.company_id)
        .where(
            Session.register_id == register_id,
            Session.state == SessionState.CLOSED,
            Session.currency == Company.currency,
        )
        .order_by(Session.closed_at.desc())
        .limit(1)
    )


def _amount(value: Decimal, field: str) -> Decimal:
    if not value.is_finite() or not 0 <= value < LARGEST_AMOUNT:
        raise UserError(_l("Count the cash: an amount of 0 or more."), field)
    return value


def open_session(
    register: Register, opening_cash: Decimal, by: User | None, *, rescue: bool = False
) -> Session:
    """Open a register with the cash that is in its drawer.

    Args:
        register: The register.
        opening_cash: In the currency of its company.
        by: Who opens it.
        rescue: True for one that opens by itself, for tickets of a register that was closed elsewhere.

    Raises:
        SessionOpenError: It is open already.
        UserError: The register is archived, or the amount makes no sense.
    """
    if not register.active and not rescue:
        raise UserError(_l("This till is archived."))
    with transaction() as session:
        # Shared until the commit: nobody gives the company another currency meanwhile.
        session.refresh(register.company, ["currency"], with_for_update={"read": True, "of": Company})
        row = Session(
            register_id=register.id,
            currency=register.company.currency,
            opened_by_id=by.id if by else None,
            opening_cash=_amount(opening_cash, "opening_cash"),
            rescue=rescue,
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError as error:
            raise SessionOpenError(_l("This till is open already.")) from error
    return row


def keeps_currency(company: Company, *, currency: str) -> object | None:
    """Return why a company keeps its currency: a register that is open counts in it; else None."""
    counting = db.session.scalars(
        select(Register.code)
        .join(Session, Session.register_id == Register.id)
        .where(
            Register.company_id == company.id,
            Session.state == SessionState.OPEN,
            Session.currency != currency,
        )
        .order_by(Register.code)
    ).all()
    if not counting:
        return None
    reason: object = _l(
        "These tills are open and count in %(currency)s: %(codes)s. Close them first.",
        currency=company.currency,
        codes=", ".join(counting),
    )
    return reason


def cash_in(session: Session) -> Decimal:
    """Return what should be in the drawer: the opening cash, what was paid in cash, less what was given back."""
    own = select(Ticket.document_id).where(Ticket.session_id == session.id)
    paid = db.session.scalar(
        select(func.coalesce(func.sum(Payment.amount), Decimal(0))).where(
            Payment.document_id.in_(own), Payment.kind == PaymentKind.CASH
        )
    )
    given = db.session.scalar(
        select(func.coalesce(func.sum(Ticket.change), Decimal(0))).where(Ticket.session_id == session.id)
    )
    return session.opening_cash + (paid or Decimal(0)) - (given or Decimal(0))


def close_session(session: Session, counted: Decimal, by: User | None, *, note: str = "") -> None:
    """Close a register with the cash that was counted; a difference is kept, with the note that explains it.

    Raises:
        UnexplainedDifferenceError: There is a difference and no note.
        UserError: It is closed already, or the amount makes no sense.
    """
    with transaction() as database:
        database.refresh(session, with_for_update={"of": Session})
        if session.state is SessionState.CLOSED:
            raise UserError(_l("This session was closed meanwhile."))
        closed_by_id = by.id if by else None
        # Kept, not computed later: what was expected at the close is part of the record.
        expected = cash_in(session)
        # From here on nothing is read: it would write the row, which is closed and counted at once or not at all.
        session.counted_cash, session.expected_cash = _amount(counted, "counted_cash"), expected
        session.state = SessionState.CLOSED
        session.closed_at, session.closed_by_id = clock.now(), closed_by_id
        session.note = note.strip()[:300]
        if session.difference and not session.note:
            raise UnexplainedDifferenceError(session.difference)
