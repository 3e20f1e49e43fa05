"""Which passwords are too easily guessed.

NIST SP 800-63B asks for length, and for a look at what guessers try first. zxcvbn (Wheeler, USENIX Security 2016)
knows the passwords that are found most often, words and names, dates, runs of keys, and what people do with them. It is
told what a guesser of this installation tries besides: the names of the user and the company, and words of French and
of the trade.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from core.errors import UserError
from core.i18n import lazy_gettext as _l

MINIMUM_PASSWORD_LENGTH = 10  # length alone, no rules about signs: those make people write passwords down
MAXIMUM_PASSWORD_LENGTH = 1000  # far more than a passphrase has
FEWEST_CHARACTERS = 5  # that differ
FEWEST_GUESSES = 10**8  # which zxcvbn calls safe from whoever guesses at a page that is throttled
_LOOKED_AT = 72  # characters: what it costs grows faster than the length
_LONGEST_KNOWN = 200  # characters of what is known of the user
_ROWS = (
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
    "wxcvbnqsdfghjklmazertyuiop",
)
"""Keyboards that zxcvbn does not know."""
_FRENCH_AND_TRADE = (
    "administrateur",
    "amour",
    "bienvenue",
    "bonjour",
    "commande",
    "coucou",
    "devis",
    "doudou",
    "facture",
    "invoice",
    "loulou",
    "marseille",
    "motdepasse",
    "odoo",
    "ordinateur",
    "passe",
    "soleil",
    "utilisateur",
    "vendeur",
    "ventes",
)
_WORDS = re.compile(r"[^\W\d_]+")
_AT_THE_END = re.compile(r"[\W\d_]+$")
_LEET = str.maketrans("@4310$5!7", "aaeiossit")  # what people write for letters
_one_at_a_time = threading.Lock()  # zxcvbn keeps what it is told of one user in its module

_OWN: object = _l("it is made of your name, your email address or your company")
_WHY: Mapping[str, object] = {
    "common": _l("it is among those that are tried first, or hardly differs from one of them"),
    "word": _l("it is a single word or name with little added"),
    "keys": _l("it follows a row of keys"),
    "letters": _l("it holds no letters"),
    "repeat": _l("it repeats itself"),
    "sequence": _l("it is a sequence, such as abcdef or 987654"),
    "date": _l("it is little more than a date"),
}


def refuse_weak(password: str, *about: str) -> None:
    """Check a new password.

    Args:
        password: As typed.
        about: What guessers know of its user: email address, name, the names of companies.

    Raises:
        UserError: It is too short or too long, or among what is guessed first; the sentence says why.
    """
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        raise UserError(
            _l("The password needs at least %(count)s characters.", count=MINIMUM_PASSWORD_LENGTH), "password"
        )
    if len(password) > MAXIMUM_PASSWORD_LENGTH:
        raise UserError(_l("At most %(max)d characters.", max=MAXIMUM_PASSWORD_LENGTH), "password")
    why = _weakness(password, _known(about))
    if why is not None:
        raise UserError(
            _l(
                "This password is guessed too easily: %(why)s. Take several words that have nothing to do with you.",
                why=why,
            ),
            "password",
        )


@cache
def _zxcvbn() -> Any:
    # Twelve megabytes of words, which most processes never ask for.
    return import_module("zxcvbn")


def _known(about: tuple[str, ...]) -> set[str]:
    """Return the words that are made of what is known of a user; the shortest would be found in anything."""
    known: set[str] = set()
    for text in (one.casefold()[:_LONGEST_KNOWN] for one in about):
        words = _WORDS.findall(text)
        # "Sophie Martin" is tried as sophiemartin too, and the login by what stands before the @.
        known |= {*words, "".join(words), "".join(_WORDS.findall(text.partition("@")[0]))}
    return {word for word in known if len(word) > 2}


def _weakness(password: str, known: set[str]) -> object | None:
    """Return why a password is guessed too easily, or None."""
    folded = password.casefold()
    if any(run in row for row in _ROWS for run in (folded, folded[::-1])):
        return _WHY["keys"]
    if len(set(folded)) < FEWEST_CHARACTERS:
        return _WHY["repeat"]
    if not _WORDS.search(folded):
        return _WHY["letters"]
    for written in (folded, _AT_THE_END.sub("", folded).translate(_LEET)):
        words = set(_WORDS.findall(written))
        tried_first = {word for word in words if _is_tried_first(word)}
        # One or two of them with nothing but digits and signs about them are no phrase; of one's own, any number.
        if words <= known | tried_first and len(tried_first - known) <= 2:
            return _OWN if words & known else _WHY["common"]
    with _one_at_a_time:
        found = _zxcvbn().zxcvbn(password[:_LOOKED_AT], user_inputs=[*known, *_FRENCH_AND_TRADE])
    if found["guesses"] >= FEWEST_GUESSES:
        return None
    parts: list[dict[str, Any]] = found["sequence"]
    return _why(max(parts, key=lambda part: (part["pattern"] != "bruteforce", len(part["token"]))), known)


def _is_tried_first(word: str) -> bool:
    ranked = _zxcvbn().matching.RANKED_DICTIONARIES
    return word in _FRENCH_AND_TRADE or any(
        word in ranked[name] for name in ("passwords", "male_names", "female_names", "surnames")
    )


def _why(part: dict[str, Any], known: set[str]) -> object:
    match part["pattern"]:
        case "dictionary" if part["matched_word"] in known:
            return _OWN
        case "dictionary" if part["dictionary_name"] in {"passwords", "user_inputs"}:
            return _WHY["common"]
        case "spatial":
            return _WHY["keys"]
        case "repeat" | "sequence" | "date" as pattern:
            return _WHY[pattern]
        case _:
            return _WHY["word"]
