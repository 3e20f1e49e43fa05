"""The cashier at a till: the person signed in, or whoever has taken over with a PIN."""

from __future__ import annotations

import datetime as dt
import re

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from flask import current_app
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select

from core import clock
from core.auth.models import User, user_company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.pos.models import Pin, Register

# A PIN has ten thousand values at least: what protects it is that few can be tried.
GUESSES = 5
LOCKED_FOR = dt.timedelta(minutes=5)  # after too many wrong guesses; short, since customers stand in line
SHIFT_SECONDS = 16 * 3600  # the longest that a cashier keeps a till without typing the PIN again
_PIN = re.compile(r"[0-9]{4,8}", re.ASCII)
_EASY = re.compile(r"(\d)\1*", re.ASCII)  # one digit over and over
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def set_pin(user: User, pin: str) -> None:
    """Give somebody a PIN.

    Raises:
        UserError: It has not 4 to 8 digits, or one digit only.
    """
    if not _PIN.fullmatch(pin):
        raise UserError(_l("A PIN has 4 to 8 digits."), "pin")
    # 0000 and 1111 are what people try first.
    if _EASY.fullmatch(pin):
        raise UserError(_l("Choose a PIN with different digits."), "pin")
    with transaction() as session:
        row = session.get(Pin, user.id) or Pin(user_id=user.id)
        row.hash, row.failures, row.locked_until = _hasher.hash(pin), 0, None
        session.add(row)


def cashiers_of(register: Register) -> list[User]:
    """Return those who may take over a till by their PIN, by name."""
    rows = db.session.scalars(
        select(User)
        .join(Pin, Pin.user_id == User.id)
        .join(user_company, user_company.c.user_id == User.id)
        .where(User.active, user_company.c.company_id == register.company_id)
        .order_by(User.name, User.id)
    )
    return [user for user in rows if user.can("pos.till.use")]


def take_over(register: Register, user_id: int, pin: str) -> tuple[User, str]:
    """Let somebody take over a till.

    Returns:
        Who it is, and what says so with each ticket.

    Raises:
        UserError: The PIN is wrong, nobody may take over by it, or too many were tried.
    """
    user = next((one for one in cashiers_of(register) if one.id == user_id), None)
    if user is None:
        raise UserError(_l("This person cannot take over the till by a PIN."), "pin")
    with transaction() as session:
        # Locked: guesses posted all at once would each see the count from before.
        row = session.get_one(Pin, user.id, with_for_update={"of": Pin})
        if row.locked_until is not None and row.locked_until > clock.now():
            raise UserError(_l("Too many wrong PINs. Wait five minutes."), "pin")
        right = _is(row, pin)
        row.failures = 0 if right else row.failures + 1
        row.locked_until = clock.now() + LOCKED_FOR if row.failures >= GUESSES else None
        if row.locked_until is not None:
            row.failures = 0
    # Outside of the transaction, which must be committed: an error inside would forget the count.
    if not right:
        raise UserError(_l("This PIN is wrong."), "pin")
    return user, _serializer().dumps([user.id, register.id])


def _is(row: Pin, pin: str) -> bool:
    try:
        _hasher.verify(row.hash, pin)
    except VerificationError:
        return False
    return True


def cashier_of(token: str, register: Register) -> User | None:
    """Return who has taken over a till, or None where the token says nothing that still holds."""
    try:
        user_id, register_id = _serializer().loads(token, max_age=SHIFT_SECONDS)
    except (BadSignature, ValueError, TypeError):
        return None
    # A token is good for one till, so that it cannot be carried to another.
    if register_id != register.id:
        return None
    user = db.session.get(User, user_id)
    return user if user is not None and user.active else None


def seller_of(user_id: int | None, register: Register) -> User | None:
    """Return who was signed in at a till when something was sold there, or None where that cannot be."""
    user = db.session.get(User, user_id) if user_id is not None else None
    if user is None or not user.active or not user.can("pos.till.use"):
        return None
    theirs = select(user_company.c.user_id).where(
        user_company.c.user_id == user.id, user_company.c.company_id == register.company_id
    )
    return user if db.session.scalar(theirs) is not None else None


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="pos.cashier")
