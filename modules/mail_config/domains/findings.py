"""What a check of a domain finds, in words, and the record to publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flask_babel import gettext

from core.i18n import lazy_gettext as _l
from modules.mail_config.transports.name_service import NameServiceError, Trouble


class Topic(StrEnum):
    """What is looked at, in the order of the page."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    SERVER = "server"  # what a receiver makes of the three together, for the emails by one server
    MX = "mx"
    REVERSE = "reverse"


TOPIC_TITLES: Mapping[Topic, object] = {
    Topic.SPF: _l("SPF: which servers may send"),
    Topic.DKIM: _l("DKIM: signatures"),
    Topic.DMARC: _l("DMARC: what receivers do with forged emails"),
    Topic.SERVER: _l("Your mail servers"),
    Topic.MX: _l("MX: who takes answers and bounces"),
    Topic.REVERSE: _l("Reverse name of your own servers"),
}


class Verdict(StrEnum):
    """How a look ends."""

    FOUND = "found"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # the DNS has told nothing, or it cannot be known from here


VERDICT_TITLES: Mapping[Verdict, object] = {
    Verdict.FOUND: _l("found"),
    Verdict.MISSING: _l("missing"),
    Verdict.WRONG: _l("wrong"),
    Verdict.UNKNOWN: _l("not known"),
}


PROOF_TITLES: Mapping[Verdict, object] = {
    **VERDICT_TITLES,
    Verdict.FOUND: _l("proved"),
    Verdict.WRONG: _l("not proved"),
}
"""The same of the emails by a server."""


@dataclass(frozen=True, slots=True)
class Record:
    """A TXT record to publish.

    Attributes:
        name: Where, in full.
        text: What, in one piece: most consoles part it themselves.
    """

    name: str
    text: str

    @property
    def pieces(self) -> list[str]:
        """The text in pieces of at most 255 octets, as the DNS holds it (RFC 1035 §3.3.14)."""
        return [self.text[start : start + 255] for start in range(0, len(self.text), 255)]

    @property
    def zone_line(self) -> str:
        """The line of a zone file."""
        quoted = " ".join(f'"{piece}"' for piece in self.pieces)
        return f"{self.name}. IN TXT {f'( {quoted} )' if len(self.pieces) > 1 else quoted}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: What it belongs to.
        about: A name: of a record, a server, an address.
        verdict: How it ends.
        sentences: What is the case, and what follows from it.
        there: The records that stand there.
        record: What to publish, or None.
    """

    topic: Topic
    about: str
    verdict: Verdict
    sentences: tuple[str, ...]
    there: tuple[str, ...] = field(default=())
    record: Record | None = None

    @property
    def word(self) -> object:
        """How it ends, in a word."""
        return (PROOF_TITLES if self.topic is Topic.SERVER else VERDICT_TITLES)[self.verdict]


def told_nothing(topic: Topic, about: str, error: NameServiceError) -> Finding:
    """Return what is said where the DNS has told nothing."""
    return Finding(topic, about, Verdict.UNKNOWN, (trouble_sentence(error),))


def trouble_sentence(error: NameServiceError) -> str:
    """Return in a sentence why nothing is known of a name."""
    name = error.name
    said: Mapping[Trouble, str] = {
        Trouble.SILENT: gettext(
            "The DNS gave no usable answer about %(name)s in time. Try again later.", name=name
        ),
        Trouble.REFUSED: gettext(
            "The DNS servers of %(name)s answer with an error, to receivers as well. Ask whoever runs them.",
            name=name,
        ),
        Trouble.NONSENSE: gettext(
            "The DNS answered something other than what was asked about %(name)s. It is not to be trusted: ask "
            "another DNS server.",
            name=name,
        ),
        Trouble.NO_NAME: gettext("%(name)s cannot be a name in the DNS.", name=name),
    }
    return said[error.trouble]
