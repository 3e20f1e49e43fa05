"""Records of DMARC (RFC 7489): found for a domain or above it, and read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modules.mail_config.signing.records import tags_of
from modules.mail_config.transports.name_service import Names

POLICIES = ("none", "quarantine", "reject")
_VERSION = re.compile(r"v\s*=\s*DMARC1\s*(;|$)")
_MOST_STEPS = 6  # labels that are taken off; nobody's domain is deeper


@dataclass(frozen=True, slots=True)
class Dmarc:
    """What holds for a domain.

    Attributes:
        domain: Where the record stands: the domain, or one above it.
        records: What stands there; one is right.
        policy: What is to become of emails that are not proved: one of `POLICIES`, or "" where nobody can read it.
        strict_spf: True where the sender of the envelope must be of the very same domain.
    """

    domain: str
    records: tuple[str, ...]
    policy: str
    strict_spf: bool = False


def record_name(domain: str) -> str:
    """Return where the record of a domain stands."""
    return f"_dmarc.{domain}"


def read(names: Names, domain: str) -> Dmarc | None:
    """Return what holds for a domain, or None where there is nothing.

    Above the domain one label after the other is taken off, and never the last but one: nobody sends from there.

    Raises:
        NameServiceError: The DNS has told nothing.
    """
    labels = domain.split(".")
    for start in range(min(len(labels) - 1, _MOST_STEPS)):
        asked = ".".join(labels[start:])
        records = tuple(text for text in names.texts(record_name(asked)) if _VERSION.match(text))
        if records:
            return _read(records, asked, below=start > 0)
    return None


def _read(records: tuple[str, ...], domain: str, *, below: bool) -> Dmarc:
    tags = tags_of(records[0]) if len(records) == 1 else None
    if tags is None:
        return Dmarc(domain, records, "")
    policy = ((tags.get("sp") if below else None) or tags.get("p") or "").lower()
    return Dmarc(domain, records, policy if policy in POLICIES else "", tags.get("aspf", "r").lower() == "s")


def aligned(envelope: str, header: str, found: Dmarc | None) -> bool:
    """Tell whether the domain of an envelope counts as that of the From (§3.1.2)."""
    if envelope == header or (found is not None and found.strict_spf):
        return envelope == header
    # Of one organization are those below the domain whose record holds. Without one, nothing is asked of anybody.
    top = found.domain if found is not None else header
    return all(one == top or one.endswith(f".{top}") for one in (envelope, header))
