"""One row of the table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from core.mail.advice import Advice
from core.mail.explanations import FailureKind
from core.mail.outcomes import Stage

# Before the message itself is seen, and after.
ENVELOPE = frozenset({Stage.MAIL, Stage.RCPT})
MESSAGE = frozenset({Stage.DATA, Stage.BODY})
GREETING = frozenset({Stage.CONNECT, Stage.HELLO})
# Everything but the sign-in, where "user unknown" and "account disabled" are about us.
SIGNED_IN = frozenset(Stage) - {Stage.AUTH, Stage.STARTTLS}

_SHORT = {
    "…": ".{0,60}?",
    "{time}": (
        r"(?:per|an?|this|each|every|par|pro|within|in (?:an?|one|the last)) ?(?:\d+ )?"
        r"(?:day|hour|minute|second|jour|heure|stunde|tag|24)"
    ),
    "{things}": (
        r"(?:messages?|e?mails?|connections?|connexions?|sessions?|errors?|requests?|commands?|concurrent|smtp"
        r"|simultan\w*|invalid|unknown|bad|unrecognized|unauthenticated|deliver\w*|sent|bounces|transactions?"
        r"|failed|attempts|hits|complaints|verbindungen|nachrichten|envois?|courriels?|erreurs?|per)\b"
    ),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: the replies it applies to, and the failure they mean.

    Attributes:
        kind: The reading.
        words: Patterns, one a line (what is indented further goes on), one of which must be found; "…" stands
            for at most 60 characters, `{time}`
            and `{things}` for common words. They are matched against plain words: lower case, no accents,
            hyphens and underscores as spaces, addresses as `<a>`. Empty for a rule of codes only.
        codes: Beginnings of reply codes ("4", "55"), one of which must fit; empty for any.
        subject: Pattern of subject and detail of the enhanced code ("7.1"), which must fit wholly.
        stages: Steps of the dialogue where the rule holds; empty for all.
        temporary: True where a 5yz only means later. None: as the reply code says.
        advice: The finer hint.
        also: The other possible reading.
        slows: The server limits how much it takes from us.
    """

    kind: FailureKind
    words: str = ""
    codes: tuple[str, ...] = ()
    subject: str = ""
    stages: frozenset[Stage] = frozenset()
    temporary: bool | None = None
    advice: Advice | None = None
    also: FailureKind | None = None
    slows: bool = False

    def fits(self, code: int, subject: str, words: str, stage: Stage) -> bool:
        """Tell whether the rule holds for a reply."""
        if self.stages and stage not in self.stages:
            return False
        if self.codes and not str(code).startswith(self.codes):
            return False
        if self.subject and not _pattern(self.subject).fullmatch(subject):
            return False
        return not self.words or _any_of(self.words).search(words) is not None


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _any_of(words: str) -> re.Pattern[str]:
    # Compiled when first asked for: most processes never see a refusal.
    lines = [line for line in words.splitlines() if line.strip()]
    first = len(lines[0]) - len(lines[0].lstrip())
    patterns: list[str] = []
    for line in lines:
        if patterns and len(line) - len(line.lstrip()) > first:
            patterns[-1] += line.strip()
        else:
            patterns.append(line.strip())
    pattern = "|".join(patterns)
    for name, meaning in _SHORT.items():
        pattern = pattern.replace(name, meaning)
    return re.compile(pattern)
