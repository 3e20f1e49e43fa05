"""The cashier at a till: the person signed in, or whoever has taken over with a PIN.

Who sells is never what a page says but what a signed token of the server says: one for the person who was signed in
when the till was loaded, one for whoever has proved a PIN.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from flask import current_app
from flask_babel import ngettext
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select

from core import clock
from core.auth.models import User, user_company
from core.auth.permissions import load_grants
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.pos.models import Pin, Register, Session

# A PIN has ten thousand values at least: what protects it is that few can be tried.
GUESSES = 5
LOCKED_FOR = dt.timedelta(minutes=5)  # after too many wrong guesses; short, since customers stand in line
LOCKED_AT_MOST = dt.timedelta(days=1)  # each time twice as long, until a right one
SHIFT = dt.timedelta(hours=16)  # the longest that a cashier keeps a till without typing the PIN again
CLOCKS_DIFFER = dt.timedelta(minutes=1)  # a token may be younger than the sale it came with by so much
_PIN = re.compile(r"[0-9]{4,8}", re.ASCII)
_EASY = re.compile(r"(\d)\1*", re.ASCII)  # one digit over and over
logger = logging.getLogger(__name__)
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
        row.hash, row.failures, row.locks, row.locked_until = _hasher.hash(pin), 0, 0, None
        session.add(row)


def cashiers_of(register: Register) -> list[User]:
    """Return those who may take over a till by their PIN, by name."""
    rows = db.session.scalars(
        select(User)
        .join(Pin, Pin.user_id == User.id)
        .join(user_company, user_company.c.user_id == User.id)
        .where(User.active, user_company.c.company_id == register.company_id)
        .order_by(User.name, User.id)
    ).all()
    load_grants(rows)
    return [user for user in rows if user.can("pos.till.use")]


def take_over(register: Register, user_id: int, pin: str) -> tuple[User, str, int]:
    """Let somebody take over a till.

    Returns:
        Who it is, what says so with each ticket, and how many wrong PINs were tried since their last right one.

    Raises:
        UserError: The PIN is wrong, nobody may take over by it, or too many were tried.
    """
    user = next((one for one in cashiers_of(register) if one.id == user_id), None)
    if user is None:
        raise UserError(_l("This person cannot take over the till by a PIN."), "pin")
    now = clock.now()
    with transaction() as session:
        # Locked: guesses posted all at once would each see the count from before.
        row = session.get_one(Pin, user.id, with_for_update={"of": Pin})
        if row.locked_until is not None and row.locked_until > now:
            minutes = int((row.locked_until - now).total_seconds() // 60) + 1
            words = ngettext(
                "Too many wrong PINs. Wait %(num)d minute.",
                "Too many wrong PINs. Wait %(num)d minutes.",
                minutes,
            )
            raise UserError(words, "pin")
        wrong = row.locks * GUESSES + row.failures
        right = _is(row, pin)
        row.failures = 0 if right else row.failures + 1
        row.locks, row.locked_until = (0 if right else row.locks), None
        if row.failures >= GUESSES:
            row.locks, row.failures = row.locks + 1, 0
            row.locked_until = now + min(LOCKED_FOR * 2 ** min(row.locks - 1, 20), LOCKED_AT_MOST)
            logger.warning(
                "The PIN of user %s is locked until %s: %d wrong ones, the last at register %s.",
                user.id,
                row.locked_until.isoformat(),
                wrong + 1,
                register.id,
            )
        token = _serializer("cashier").dumps([user.id, register.id, _stamp(row)])
    # Outside of the transaction, which must be committed: an error inside would forget the count.
    if not right:
        raise UserError(_l("This PIN is wrong."), "pin")
    return user, token, wrong


def has_pin(user: User) -> bool:
    """Return True when somebody has a PIN."""
    return db.session.get(Pin, user.id) is not None


def _is(row: Pin, pin: str) -> bool:
    try:
        _hasher.verify(row.hash, pin)
    except VerificationError:
        return False
    return True


def _stamp(row: Pin) -> str:
    """Return what changes with the PIN, so that a token of the former one is worth nothing."""
    return hashlib.sha256(row.hash.encode()).hexdigest()[:16]


def cashier_of(token: str, register: Register, at: dt.datetime | None = None) -> User | None:
    """Return who had taken over a till, or None where the token says nothing that held at that moment.

    It holds for one till, for one shift, and while the PIN is the same: until the register is next opened, and for
    `SHIFT` at most.

    Args:
        token: What `take_over` gave.
        register: The till.
        at: When something was sold, or None for now.
    """
    at = at or clock.now()
    try:
        (user_id, register_id, stamp), issued = _serializer("cashier").loads(token, return_timestamp=True)
    except (BadSignature, ValueError, TypeError):
        return None
    if register_id != register.id or not issued - CLOCKS_DIFFER <= at <= issued + SHIFT:
        return None
    opened_since = select(Session.id).where(
        Session.register_id == register.id,
        Session.rescue.is_(False),
        Session.opened_at > issued + CLOCKS_DIFFER,
        Session.opened_at <= at,
    )
    row = db.session.get(Pin, user_id)
    if row is None or _stamp(row) != stamp or db.session.scalar(opened_since.limit(1)) is not None:
        return None
    return row.user if _may_sell(row.user, register) else None


def seller_token(user: User, register: Register) -> str:
    """Return what says, with a ticket that is posted later, who was signed in at a till."""
    return _serializer("seller").dumps([user.id, register.id])


def seller_of(token: str, register: Register) -> User | None:
    """Return who was signed in at a till when something was sold there, or None where the token does not say."""
    try:
        user_id, register_id = _serializer("seller").loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    user = db.session.get(User, user_id) if register_id == register.id else None
    return user if user is not None and _may_sell(user, register) else None


def _may_sell(user: User, register: Register) -> bool:
    theirs = select(user_company.c.user_id).where(
        user_company.c.user_id == user.id, user_company.c.company_id == register.company_id
    )
    return user.active and user.can("pos.till.use") and db.session.scalar(theirs) is not None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt=f"pos.{purpose}")
