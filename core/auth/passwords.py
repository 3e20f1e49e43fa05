"""Which passwords are too easily guessed.

NIST SP 800-63B asks for length, and for a look at what guessers try first: common words, rows of keys, the user's name.
"""

from __future__ import annotations

import re

from core.errors import UserError
from core.i18n import lazy_gettext as _l

MINIMUM_PASSWORD_LENGTH = 10  # length alone, no rules about signs: those make people write passwords down
MAXIMUM_PASSWORD_LENGTH = 1000  # far more than a passphrase has
FEWEST_CHARACTERS = 5  # that differ
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
    "01234567890",
)
# What is left of the passwords that are found most often when digits and signs around them are taken off.
_COMMON = frozenset(
    [
        "abc",
        "access",
        "account",
        "admin",
        "administrateur",
        "administrator",
        "amour",
        "azerty",
        "baseball",
        "batman",
        "bienvenue",
        "bonjour",
        "change",
        "changeme",
        "charlie",
        "chelsea",
        "chocolat",
        "chocolate",
        "computer",
        "coucou",
        "daniel",
        "default",
        "demo",
        "doudou",
        "dragon",
        "envoi",
        "facture",
        "football",
        "france",
        "freedom",
        "guest",
        "hello",
        "iloveyou",
        "invoice",
        "jesus",
        "jordan",
        "julien",
        "letmein",
        "liverpool",
        "login",
        "loulou",
        "love",
        "marseille",
        "master",
        "michael",
        "monkey",
        "mot",
        "motdepasse",
        "mustang",
        "nicolas",
        "ninja",
        "odoo",
        "ordinateur",
        "pass",
        "passe",
        "passw0rd",
        "password",
        "passwort",
        "princess",
        "princesse",
        "qwerty",
        "qwertz",
        "root",
        "secret",
        "secrete",
        "service",
        "shadow",
        "soleil",
        "starwars",
        "summer",
        "sunshine",
        "superman",
        "support",
        "system",
        "temp",
        "test",
        "trustno",
        "trustnoone",
        "user",
        "utilisateur",
        "vendeur",
        "ventes",
        "welcome",
        "whatever",
        "winter",
    ]
)
_SIGNS = re.compile(r"[\W_]+")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def refuse_weak(password: str, *about: str) -> None:
    """Check a new password.

    Args:
        password: As typed.
        about: What guessers know of its user: email address and name.

    Raises:
        UserError: It is too short or too long, or among what is guessed first.
    """
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        raise UserError(
            _l("The password needs at least %(count)s characters.", count=MINIMUM_PASSWORD_LENGTH), "password"
        )
    if len(password) > MAXIMUM_PASSWORD_LENGTH:
        raise UserError(_l("At most %(max)d characters.", max=MAXIMUM_PASSWORD_LENGTH), "password")
    if _easy(password.casefold(), [text.casefold() for text in about]):
        raise UserError(
            _l("This password is guessed too easily. Take several words that have nothing to do with you."),
            "password",
        )


def _easy(password: str, about: list[str]) -> bool:
    word = _SIGNS.sub("", _AROUND.sub("", password))
    if not word or len(set(password)) < FEWEST_CHARACTERS:
        return True
    known = {_SIGNS.sub("", part) for text in about for part in (text, text.partition("@")[0])}
    half = word[: len(word) // 2]
    guessed_first = _COMMON | known
    return (
        word in guessed_first
        or (word == half * 2 and half in guessed_first)
        or any(run in row for row in _ROWS for run in (password, password[::-1], word, word[::-1]))
    )
