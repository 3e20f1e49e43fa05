"""What people type for a number, and what it is: for the office and for the till, which read by two programs."""

from __future__ import annotations

import random
from collections.abc import Iterator

NO_NUMBER = None
LOCALES = ("en_GB", "fr_FR", "de_CH", "en_DE")
CASES: list[tuple[str, str, str | None]] = [
    # The language decides.
    ("en_GB", "1,000", "1000"), ("fr_FR", "1,000", "1"), ("en_DE", "1.000", "1000"), ("fr_FR", "1.000", "1"),
    ("en_GB", "1.250", "1.25"), ("fr_FR", "1.250", "1.25"), ("en_DE", "1.250", "1250"), ("en_GB", "2,000", "2000"),
    ("en_GB", "1,00,000", "100000"), ("en_GB", "1,234,567.89", "1234567.89"), ("en_GB", "0,123", "0.123"),
    # What can mean only one thing.
    ("en_GB", "1.234,56", "1234.56"), ("fr_FR", "1,234.56", "1234.56"), ("en_DE", "1,234.56", "1234.56"),
    ("fr_FR", "1.234.567", "1234567"), ("fr_FR", "1,234,567", "1234567"), ("en_GB", "12,5", "12.5"),
    ("en_GB", "12,50", "12.5"), ("en_DE", "12.5", "12.5"), ("fr_FR", "12.5", "12.5"),
    # What could mean two things, or none.
    ("en_GB", "1,0000", NO_NUMBER), ("en_DE", "1.0000", NO_NUMBER), ("en_GB", "1,23.456,7", NO_NUMBER),
    ("en_GB", "1,2345,678", NO_NUMBER), ("fr_FR", "1 50", NO_NUMBER), ("fr_FR", "12 34", NO_NUMBER),
    ("en_GB", "1.2.3", NO_NUMBER), ("en_GB", "1 234,567.8", NO_NUMBER), ("fr_FR", "0 123", NO_NUMBER),
    # Blanks and apostrophes.
    ("fr_FR", "1\u202f234,5", "1234.5"), ("fr_FR", " 1\u00a0234,5 ", "1234.5"), ("en_GB", "1 234 567.5", "1234567.5"),
    ("de_CH", "1’234.50", "1234.5"), ("fr_FR", "1'234,5", "1234.5"), ("en_GB", "1\u3000234", "1234"),
    ("en_GB", "\t7\n", NO_NUMBER), ("en_GB", "\t7", "7"), ("en_GB", "'5'", "5"),
    # Minus signs.
    ("en_GB", "-5", "-5"), ("en_GB", "\u22125", "-5"), ("fr_FR", "–\u00a05,5", "-5.5"), ("en_GB", "\uff0d5", "-5"),
    ("en_GB", "+5", "5"), ("en_GB", "5-", NO_NUMBER), ("en_GB", "--5", NO_NUMBER), ("en_GB", "-", NO_NUMBER),
    ("en_GB", "-0", "0"), ("en_GB", "-0.00", "0"),
    # Digits of other keyboards.
    ("en_GB", "\uff11\uff0c\uff12\uff13\uff14\uff0e\uff15", "1234.5"), ("en_GB", "\u0661\u0662", "12"),
    ("en_GB", "\u06f5", "5"), ("en_GB", "\u0e57", "7"), ("en_GB", "\u200e5\u200f", "5"),
    # What only machines write, and what is none.
    ("en_GB", "1e5", NO_NUMBER), ("en_GB", "1E5", NO_NUMBER), ("en_GB", "0x10", NO_NUMBER),
    ("en_GB", "1_000", NO_NUMBER), ("en_GB", "NaN", NO_NUMBER), ("en_GB", "Infinity", NO_NUMBER),
    ("en_GB", "5²", NO_NUMBER), ("en_GB", "½", NO_NUMBER), ("en_GB", "", NO_NUMBER), ("en_GB", ".", NO_NUMBER),
    ("fr_FR", ",", NO_NUMBER), ("en_GB", "five", NO_NUMBER), ("en_GB", "€5", NO_NUMBER), ("en_GB", "007", "7"),
    ("en_GB", ".5", "0.5"), ("fr_FR", ",5", "0.5"), ("en_GB", "5.", "5"),
    # How large, how exact.
    ("en_GB", "99,999,999,999.9999", "99999999999.9999"), ("en_GB", "100,000,000,000", NO_NUMBER),
    ("en_GB", "0.00001", NO_NUMBER), ("en_GB", "0.10000000", "0.1"), ("en_GB", "9" * 101, NO_NUMBER),
    ("en_GB", "0" * 90 + "1", "1"),
]  # fmt: skip
_SIGNS = "0123456789" * 2 + ",,..  ''’\u202f\u00a0-+−\uff11\u0665e\u200f"


def nonsense(count: int) -> Iterator[tuple[str, int]]:
    """Return texts of what numbers are made of, and with how many decimals each is read; the same ones each time."""
    chance = random.Random(20)  # noqa: S311 (no secret)
    shapes = ("{}{}{}", "{},{}{}{}", "{}.{}{}{},{}", "-{} {}{}{}", "{}'{}{}{}.{}", "{}{},{}{}{},{}{}{}")
    for number in range(count):
        if number % 2:
            text = "".join(chance.choices(_SIGNS, k=chance.randint(1, 9)))
        else:
            text = chance.choice(shapes).format(*chance.choices("0123456789", k=8))
        yield text, chance.choice((0, 2, 3, 4))
