"""The cashier who has taken over a till in this browser, for pages beside the till: refunds there are theirs too."""

from __future__ import annotations

from collections.abc import Sequence

from flask import session

from core.auth.models import User
from modules.pos.models import Register
from modules.pos.service.cashiers import cashier_of

# Signing in and out empties the session, so nobody takes a shift over from somebody else's.
_KEY = "pos_shifts"


def remember_cashier(register: Register, token: str) -> None:
    """Keep in the session of this browser who sells at a till: what `take_over` gave; "" for who is signed in."""
    shifts = {name: kept for name, kept in session.get(_KEY, {}).items() if name != str(register.id)}
    session[_KEY] = {**shifts, str(register.id): token} if token else shifts


def cashiers_at(registers: Sequence[Register]) -> dict[int, User]:
    """Return who has taken over tills in this browser, by the ids of the registers."""
    shifts = session.get(_KEY, {})
    found = {row.id: cashier_of(shifts.get(str(row.id), ""), row) for row in registers}
    return {number: user for number, user in found.items() if user is not None}
