"""What two rows of one customer have in common, however each was typed."""

from __future__ import annotations

import re
import unicodedata

from core.matching import folded

# Legal forms, without points: of two rows of one firm, one often has it and the other not.
_FORMS = {
    "ab", "ag", "as", "asbl", "aps", "bv", "bvba", "co", "company", "cie", "ei", "eirl", "eurl", "gie", "gmbh", "inc",
    "kg", "limited", "llc", "llp", "ltd", "nv", "oy", "plc", "pty", "sa", "sarl", "sas", "sasu", "sca", "sci", "scop",
    "selarl", "sl", "snc", "spa", "sprl", "srl",
}  # fmt: skip
_JOINING = frozenset({"and", "et", "the"})


def match_key(name: str, city: str) -> str:
    """Return what the name and the city of a customer are compared by: without case, accents, marks and legal form.

    "" where nothing is left of the name.
    """
    words = [word for word in _words(name) if word not in _JOINING]
    kept = [word for word in words if word not in _FORMS] or words
    return f"{' '.join(sorted(kept))}|{' '.join(_words(city))}" if kept else ""


def address_key(email: str) -> str:
    """Return what an email address is compared by, as `core.mail.addresses.Address.key` is."""
    return unicodedata.normalize("NFC", email).casefold()


def vat_key(vat: str) -> str:
    """Return what a VAT number is compared by: its letters and digits, as `core.vat.checked_vat` would write them."""
    return "".join(letter for letter in vat if letter.isalnum()).upper()


def _words(text: str) -> list[str]:
    return re.findall(
        r"\w+", re.sub(r"(?<=\b\w)\.(?=\w\b)", "", folded(text)).replace("'", "").replace("’", "")
    )
