"""The database: declarative base, column types and transactions."""

from core.db.base import VERSION_TABLES, Base, db, empty_journal, mappers
from core.db.conflicts import again
from core.db.guards import FrozenError, Guard
from core.db.references import foreign_keys_to, named_elsewhere
from core.db.transaction import apart, end_reading, on_commit, transaction
from core.db.types import DecimalsByDecimal, Encrypted, ExactDecimal, Sealed, StrEnumType, UtcDateTime

__all__ = [
    "VERSION_TABLES",
    "Base",
    "DecimalsByDecimal",
    "Encrypted",
    "ExactDecimal",
    "FrozenError",
    "Guard",
    "Sealed",
    "StrEnumType",
    "UtcDateTime",
    "again",
    "apart",
    "db",
    "empty_journal",
    "end_reading",
    "foreign_keys_to",
    "mappers",
    "named_elsewhere",
    "on_commit",
    "transaction",
]
