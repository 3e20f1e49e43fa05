"""Tells what somebody has written in an answer from what their program repeats below it.

No standard says how a quotation is marked; these are the ways of the common programs. Read line by line: expressions
over whole texts, such as those of the libraries for it, take forever on texts that are made for that.
"""

from __future__ import annotations

import re

MAX_LINES = 5_000
"""Of a text that are looked through; what follows belongs to the part that the last of them is in."""
_HEAD_LINES = 8  # within which the fields of a repeated head follow each other
_WRAPPED = 3  # lines over which "On … wrote:" may be broken

_ATTRIBUTION = re.compile(
    r"(?:on|le|am|el|il|op|em|den|w dniu|dne)\b.{4,400}\b(?:wrote|a [ée]crit|schrieb|escribi[óo]|ha scritto|schreef"
    r"|escreveu|skrev|napisa[łl]\(?a?\)?|napsal\(?a?\)?)\b.{0,100}:",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(
    r"-{2,20} ?(?:original message|message d.origine|message original|forwarded message|message transf[ée]r[ée]"
    r"|urspr[üu]ngliche nachricht|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original)"
    r" ?-{2,20}",
    re.IGNORECASE,
)
_RULE = re.compile(r"[_\-=*]{10,200}")
_FROM = re.compile(r"\*?(?:from|de|von|da|van|fr[åa]n|od)\*? ?: ?.{0,20}\S", re.IGNORECASE)
_SENT = re.compile(
    r"\*?(?:sent|date|envoy[ée]|gesendet|datum|enviado(?: el)?|fecha|inviato|verzonden|data|skickat)(?: le)?\*? ?:",
    re.IGNORECASE,
)


def split_quoted(text: str) -> tuple[str, str]:
    """Return what was written, and what is repeated; the second is "" where nothing can be told apart.

    An answer between the lines of a quotation is all written: apart, neither would make sense.

    Args:
        text: Plain text, with any line ends.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = _begin(lines)
    if start is None:
        return text.strip(), ""
    own, quoted = "\n".join(lines[:start]).strip(), "\n".join(lines[start:]).strip()
    if own:
        return own, quoted
    return _written_below(lines, start) or (text.strip(), "")


def _begin(lines: list[str]) -> int | None:
    """Return the line at which the quotation begins that nothing but it follows, or None."""
    for number, line in enumerate(lines[:MAX_LINES]):
        stripped = line.strip()
        if not stripped:
            continue
        if _SEPARATOR.fullmatch(stripped[:200]) or _is_head(lines, number):
            return number
        if _RULE.fullmatch(stripped[:201]) and _is_head(lines, _next(lines, number)):
            return number
        if _is_attribution(lines, number):
            return number
    return _trailing_marks(lines[:MAX_LINES])


def _next(lines: list[str], number: int) -> int:
    for following in range(number + 1, min(len(lines), number + 4)):
        if lines[following].strip():
            return following
    return len(lines)


def _is_head(lines: list[str], number: int) -> bool:
    """Return True where the head of a message is repeated, as Outlook does it."""
    if number >= len(lines) or not _FROM.match(lines[number].strip()[:200]):
        return False
    return any(_SENT.match(line.strip()[:200]) for line in lines[number + 1 : number + _HEAD_LINES])


def _is_attribution(lines: list[str], number: int) -> bool:
    """Return True for "On … wrote:", on one line or broken over several, above a quotation or the end of it all."""
    joined = ""
    for following in range(number, min(len(lines), number + _WRAPPED)):
        joined = f"{joined} {lines[following].strip()}".strip()[:600]
        if joined.endswith(":"):
            return _ATTRIBUTION.fullmatch(joined) is not None
    return False


def _trailing_marks(lines: list[str]) -> int | None:
    """Return where the lines begin that are marked by ">" to the end, or None where others stand among them."""
    start = None
    for number, line in enumerate(lines):
        if line.lstrip().startswith(">"):
            start = number if start is None else start
        elif line.strip():
            start = None
    marked = sum(line.lstrip().startswith(">") for line in lines)
    behind = len(lines) - (start or 0)
    return start if start is not None and marked <= behind and _is_last(lines, start) else None


def _is_last(lines: list[str], start: int) -> bool:
    return not any(line.lstrip().startswith(">") for line in lines[:start])


def _written_below(lines: list[str], start: int) -> tuple[str, str] | None:
    """Return the same for an answer below what it quotes; None where it is not marked, or stands among it."""
    marks = [number for number, line in enumerate(lines) if line.lstrip().startswith(">")]
    if not marks:
        return None
    first, last = marks[0], marks[-1]
    own = "\n".join(lines[last + 1 :]).strip()
    among = any(line.strip() and not line.lstrip().startswith(">") for line in lines[first:last])
    if not own or among:
        return None
    return own, "\n".join(lines[start : last + 1]).strip()
