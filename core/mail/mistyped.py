"""Domains of mail that were probably meant, where another was typed: gmail.com for gmial.com.

The till looks by itself, in `static/till/address.js`, since it works without the server; it gets the domains from here,
and the tests give the same addresses to both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from core.i18n import countries

USUAL_DOMAINS: Mapping[str, Sequence[str]] = {
    "fr": (
        "gmail.com", "orange.fr", "free.fr", "hotmail.fr", "yahoo.fr", "wanadoo.fr", "sfr.fr", "laposte.net",
        "outlook.fr", "icloud.com", "hotmail.com", "outlook.com", "live.fr", "bbox.fr", "yahoo.com",
    ),
    "en": (
        "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "hotmail.co.uk", "yahoo.co.uk",
        "btinternet.com", "live.co.uk", "aol.com", "me.com", "sky.com", "talktalk.net", "virginmedia.com",
    ),
}  # fmt: skip
"""By language, the most usual first."""
# Whatever country has its ending: yahoo.de is no slip for yahoo.fr. Three are better known as .com with a letter lost.
USUAL_ENDINGS = sorted(
    {"com", "net", "org", "co.uk", "uk", "eu", *(code.lower() for code in countries("en"))}
    - {"cm", "co", "om"}
)
# Domains that look like a slip, and are none.
TRUE_NEIGHBORS = frozenset(
    ("gmx.com", "gmx.fr", "gmx.net", "mail.com", "ymail.com", "email.com", "live.com", "msn.com")
)
_NEAR_ENDINGS = ("com", "net", "org")
_SHORT = 8  # characters: a short domain has many neighbors, and tree.fr is nobody's slip for free.fr
_MOST_SLIPS = 2
_SHORTEST_ENDING = 3
_MOST_LETTERS = 64  # of a domain that is compared


def meant(addr_spec: str, language: str) -> str:
    """Return the address that was probably meant, or "" where nothing looks like a slip.

    Args:
        addr_spec: As it was typed.
        language: Whose usual domains come first.
    """
    local, _, domain = addr_spec.rpartition("@")
    best = _meant_domain(domain.lower(), language.partition("-")[0].partition("_")[0]) if local else ""
    return f"{local}@{best}" if best else ""


@lru_cache(2000)
def _meant_domain(domain: str, language: str) -> str:
    """Return the domain that was probably meant, or ""; hundreds of recipients share a few domains."""
    if not domain or len(domain) > _MOST_LETTERS or domain in TRUE_NEIGHBORS:
        return ""
    first = USUAL_DOMAINS.get(language, USUAL_DOMAINS["en"])
    known = dict.fromkeys((*first, *USUAL_DOMAINS["fr"], *USUAL_DOMAINS["en"]))
    if domain in known:
        return ""
    name, _, ending = domain.partition(".")
    if name == "gmail":
        return "gmail.com"  # there is no other
    if ending in USUAL_ENDINGS and any(one.partition(".")[0] == name for one in known):
        return ""
    near = [(distance(domain, one), one) for one in known if abs(len(domain) - len(one)) <= _MOST_SLIPS]
    near = [(count, one) for count, one in near if count <= (1 if len(one) < _SHORT else _MOST_SLIPS)]
    return min(near, key=lambda pair: pair[0])[1] if near else _with_another_ending(domain)


def _with_another_ending(domain: str) -> str:
    name, _, ending = domain.partition(".")
    if not name or ending in USUAL_ENDINGS or len(ending) < _SHORTEST_ENDING:
        return ""
    return next((f"{name}.{one}" for one in _NEAR_ENDINGS if distance(ending, one) == 1), "")


def distance(one: str, other: str) -> int:
    """Return how many letters differ: a missing, additional, other one, or two that are swapped, counts one."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, beside in enumerate(other, 1):
            least = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != beside))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == beside:
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]
