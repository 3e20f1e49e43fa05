"""Column types that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, LargeBinary, String
from sqlalchemy.types import TypeDecorator

from core import clock
from core.key_ring import parts_of

DECIMAL_PLACES = 4  # enough for unit prices and rates; a whole number in the table, so that sums are exact
# Wide enough never to round: the usual context would, after 28 digits, and so hide digits from the check.
_UNROUNDED = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


T = TypeVar("T")
_Processor = Callable[[Any], Any]


class _Nothing(TypeDecorator[T]):
    """A type for which None is NULL and back. Most values of a list or a mail are, and cost no more than a look."""

    def bind_processor(self, dialect: Dialect) -> _Processor | None:
        """Return what writes a value."""
        return _unless_none(super().bind_processor(dialect))

    def result_processor(self, dialect: Dialect, coltype: object) -> _Processor | None:
        """Return what reads a value."""
        return _unless_none(super().result_processor(dialect, coltype))


def _unless_none(process: _Processor | None) -> _Processor | None:
    return process and (lambda value: None if value is None else process(value))


class UtcDateTime(_Nothing[dt.datetime]):
    """An aware point in time, kept and returned in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Refuse naive times: they would silently mean another zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A naive datetime has no meaning here; use core.clock.now().")
        if value.tzinfo is not dt.UTC:
            value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 (signature of SQLAlchemy)
        """Return an aware time in UTC."""
        if value is None:
            return None
        return clock.in_utc(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal number with four places, kept as a whole number of 1/10000.

    SQLite has no decimal type and would round through binary floats; integers are exact everywhere and
    can be summed by the database.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Store the number; refuse what has more than four places rather than round it unseen."""
        if value is None:
            return None
        scaled = Decimal(value).scaleb(DECIMAL_PLACES, _UNROUNDED)
        if not scaled.is_finite():
            raise ValueError(f"{value} is not a number that can be stored.")
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{value} has more than {DECIMAL_PLACES} decimal places.")
        return int(scaled)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the number with its four places."""
        return None if value is None else Decimal(int(value)).scaleb(-DECIMAL_PLACES)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:  # noqa: ARG002
        """Compare with decimals, not with the integers in the table."""
        return self


class DecimalsByDecimal(TypeDecorator[dict[Decimal, Decimal]]):
    """Decimal numbers by other ones, kept as JSON in which they are texts: nothing is rounded."""

    impl = JSON
    cache_ok = True

    def process_bind_param(
        self,
        value: dict[Decimal, Decimal] | None,
        dialect: Dialect,  # noqa: ARG002 (signature of SQLAlchemy)
    ) -> dict[str, str] | None:
        """Write each number as it is."""
        return None if value is None else {str(key): str(number) for key, number in value.items()}

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[Decimal, Decimal] | None:  # noqa: ARG002
        """Return the numbers."""
        return None if value is None else {Decimal(key): Decimal(number) for key, number in value.items()}


class StrEnumType(_Nothing[StrEnum]):
    """A `StrEnum`, kept by its value in a plain string, so that a new member needs no migration.

    The database takes no other word: `core.db.guards` sees to that.
    """

    impl = String(32)
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Store the value, after checking that it is a member."""
        return None if value is None else str(value if type(value) is self.enum else self.enum(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the member."""
        return None if value is None else self.enum(value)


class Sealed(bytes):
    """What `core.vault` has encrypted."""

    @property
    def identity(self) -> str:
        """What stays while it says the same, also under another key."""
        return parts_of(self)[1]


class Encrypted(TypeDecorator[Sealed]):
    """Something that `core.vault` has encrypted.

    Nothing else is stored in such a column, and nothing encrypted in any other: by the type a change of keys finds all
    that it must encrypt anew. The table has one column as its primary key.

    Args:
        what: For people, what it is: "the password of a mail server".
        named_by: The column by which people know the row, or "" where a number must do, since there are many.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, what: str, named_by: str = "") -> None:
        super().__init__()
        self.what, self.named_by = what, named_by

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Refuse what was not encrypted."""
        if value is not None and not isinstance(value, Sealed):
            raise TypeError("Only what core.vault.encrypt has returned is stored here.")
        return None if value is None else bytes(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002
        """Return it as what it is."""
        return None if value is None else Sealed(value)
