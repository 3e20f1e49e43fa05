"""Answers that nobody wrote (RFC 3834): out of office, "we have received your message"."""

from __future__ import annotations

import datetime as dt
import re

from core.mail.bounces.parts import Fields

_FIELDS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
    "x-mail-autoreply",
)
_SUBJECT = re.compile(
    r"\W{0,8}(?:(?:re|aw|sv|antw|tr|fw|fwd|réf?|rif|odp|vs) ?: ?){0,3}\W{0,8}(?:auto(?:matic|mated)?[ -]?(?:re(?:ply"
    r"|sponse)|answer|svar)\b|auto: "
    r"|out of (?:the )?(?:office|town)|away from (?:the |my )?(?:office|desk|mail)|vacation\b|on (?:holiday"
    r"|vacation|leave)\b"
    r"|i(?:'| a)m (?:away|out of)|absent\b|réponse automatique|absence (?:du bureau|temporaire)"
    r"|(?:message|notification|avis) (?:automatique )?d['’]absence|message automatique|je suis absent|ooo\b"
    r"|automatische (?:antwort|abwesenheit)|abwesenheit|autoantwort|automatisch antwoord|afwezig"
    r"|respuesta autom[aá]tica"
    r"|urlaubs(?:notiz|meldung|benachrichtigung)|assenza dall['’]ufficio"
    r"|fuera de (?:la )?oficina|ausente|resposta automática|risposta automatica|fuori sede|automatické? odpově"
    r"|autosvar"
    r"|automaattinen|poissa|frånvar|fravær|autom(?:atyczna )?odpowied|poza biurem|автоответ"
    r"|автоматический ответ|нет на рабочем"
    r"|自动回复|自動回覆|自動返信|自動応答|不在|자동 ?회신|부재 ?중)",
    re.IGNORECASE,
)
# The day of coming back is what is asked; the last day away, which `_BACK` finds as well, stands in for it.
_RETURN = re.compile(
    r"\b(?:back|return\w*|retour|revien\w*|reprend\w*|reprise|zurück|wieder|terug|weer|vuelv\w*|volver\w*|regres\w*"
    r"|reincorpor\w*|torn\w*|rientr[oi]\w*|voltar\w*|de volta|de vuelta|tillbaka|tilbage|takaisin|wrac\w*|wróc\w*"
    r"|zpět|di nuovo)\b",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"\b(?:back|return\w*|until|till|through|retour|revien\w*|rentr\w*|jusqu\w*|zurück|bis(?: zum)?|wieder"
    r"|terug|tot(?: en met)?"
    r"|vuelv\w*|regres\w*|hasta|volver\w*|torn\w*|rientr\w*|fino|voltar\w*|até|tillbaka|tilbage|takaisin"
    r"|powr\w*|wrac\w*|wróc\w*|do(?= dnia|(?: \w+)? \d)|zpět|vrát\w*|de vuelta|reincorpor\w*|di nuovo"
    # Of a span of days that names its month once.
    r"|(?:du|dal|del|from|vom) \d{1,2}(?:er|st|nd|rd|th|\.)? (?:au|al|to|bis))\b"
    r"|вернусь|до\s",
    re.IGNORECASE,
)
# Where the day stands before the word.
_FROM = re.compile(
    r"\b(?:ab|am|vanaf|op|ich bin|ik ben)\b(?=[^\n]{0,60}\b(?:wieder|zurück|weer|terug)\b)", re.IGNORECASE
)
_UNTIL = re.compile(r"\b(?:until|till|through|jusqu\w*|bis|tot|hasta|fino|até|do)\b", re.IGNORECASE)
_DAY_BEFORE = re.compile(
    r"(?:(?P<y>20\d\d)年)?(?P<m>\d{1,2})月(?P<d>\d{1,2})日(?=[^\d。\n]{0,12}(?:まで|戻|復帰|出社|返回|回来|回來))"
)
_TO = re.compile(
    r"\s{0,3}(?:to|until|till|through|thru|au|al|bis(?: zum)?|a|até|do|t/m|tot(?: en met)?|[-–—])\s{0,3}"
    r"(?:\w{2,12},? ){0,2}",
    re.IGNORECASE,
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan janvier janv januar jänner januari enero gennaio janeiro stycznia января",
            "february feb février fevrier févr februar februari febrero febbraio fevereiro lutego февраля",
            "march mar mars märz maart marzo março marca марта",
            "april apr avril avr abril aprile kwietnia апреля",
            "may mai mei mayo maggio maio maja мая",
            "june jun juin juni junio giugno junho czerwca июня",
            "july jul juillet juil juli julio luglio julho lipca июля",
            "august aug août aout augustus agosto sierpnia августа",
            "september sep sept septembre septiembre settembre setembro września сентября",
            "october oct octobre oktober okt octubre ottobre outubro października октября",
            "november nov novembre noviembre novembro listopada ноября",
            "december dec décembre decembre déc dezember dez desember diciembre dicembre dezembro grudnia декабря",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True))
_DATES = (
    re.compile(r"\b(?P<y>20\d\d)-(?P<m>\d{1,2})-(?P<d>\d{1,2})\b"),
    re.compile(r"(?P<y>20\d\d)[年/.](?P<m>\d{1,2})[月/.](?P<d>\d{1,2})"),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|\.|º)? (?:of |de |d')?(?P<n>{_MONTH})\b\.?,?(?: (?:de )?(?P<y>20\d\d))?",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?P<n>{_MONTH})\b\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (?P<y>20\d\d))?", re.IGNORECASE
    ),
    re.compile(r"\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>20\d\d|\d\d\b)?"),
    re.compile(r"\b(?P<a>\d{1,2})/(?P<b>\d{1,2})(?:/(?P<y>20\d\d|\d\d))?\b"),
)
# Only Americans write the month first; in English it may be either, unless a day beyond the twelfth tells.
_ENGLISH = re.compile(r"\b(?:i am|i'm|i will|i'll|out of|until|back|the|my|on|return\w*)\b", re.IGNORECASE)
_DAY_FIRST = re.compile(r"\b(?:1[3-9]|2\d|3[01])/\d{1,2}\b")
_MAX_WORDS = 10_000


def is_automatic(fields: Fields) -> bool:
    """Tell whether a message is an answer that a program gave to a message of ours."""
    submitted = fields.first("auto-submitted").lower()
    if submitted.startswith("auto-replied") or any(fields.first(name) for name in _FIELDS):
        return True
    if fields.first("precedence").lower() in {"auto_reply", "auto-reply", "autoreply"}:
        return True
    # Lists write "Auto: " too, and a person may answer "Re: Out of office".
    listed = fields.first("list-id") or fields.first("list-unsubscribe")
    return not listed and _SUBJECT.match(fields.first("subject")) is not None and not _answers_itself(fields)


def _answers_itself(fields: Fields) -> bool:
    """Tell whether a subject is that of an answer to an automatic answer, which a person writes."""
    subject = fields.first("subject").lower().lstrip()
    return submitted_by_person(fields) and re.match(r"(?:re|aw|sv|antw)\s?:", subject) is not None


def submitted_by_person(fields: Fields) -> bool:
    """Tell whether nothing in the head says that a program has sent the message."""
    submitted = fields.first("auto-submitted").lower()
    return submitted in {"", "no"} and not fields.first("x-auto-response-suppress")


def back_on(text: str, sent: dt.date | None) -> dt.date | None:
    """Return the day on which the writer is back, or the last one of the absence, as the text names it.

    Args:
        text: The answer.
        sent: The day of the answer; a date without a year is the next such day.

    Returns:
        The day; None where none is named, or where `3/4` may be either.
    """
    text = text[:_MAX_WORDS]
    day_first = _ENGLISH.search(text) is None or _DAY_FIRST.search(text) is not None
    before = _DAY_BEFORE.search(text)
    if before is not None:
        return _day(before.groupdict(), sent, day_first)
    day = _day_of_return(text, sent, day_first)
    if day is not None:
        return day
    for word in list(_BACK.finditer(text))[:50]:
        day = _first_day(text[word.start() : word.start() + 120], sent, day_first)
        if day is not None:
            return day
    return _end_of_span(text, sent, day_first)


def _day_of_return(text: str, sent: dt.date | None, day_first: bool) -> dt.date | None:
    """Return the day that stands with a word for coming back: behind it, or before it where none is behind.

    `Not back until` leads to a day by itself. A day before the word is its own only where a word like `from` opens it;
    the last such word is the nearest.
    """
    for word in list(_RETURN.finditer(text))[:50]:
        behind = text[word.end() : word.end() + 120]
        day = None if _UNTIL.search(_to_first_day(behind)) else _first_day(behind, sent, day_first)
        if day is not None:
            return day
    for word in reversed(list(_FROM.finditer(text))[:50]):
        day = _first_day(text[word.start() : word.start() + 120], sent, day_first)
        if day is not None:
            return day
    return None


def _to_first_day(text: str) -> str:
    """Return what stands before the first figure of a text."""
    return re.split(r"\d", text, maxsplit=1)[0]


def _first_day(text: str, sent: dt.date | None, day_first: bool) -> dt.date | None:
    """Return the first day that a text names, up to the end of its sentence."""
    sentence = re.split(r"\n[ \t]*\n|[!?](?:\s|$)|(?<=[a-zé]{2})\.\s", text)[0]
    found = [match for pattern in _DATES if (match := pattern.search(sentence)) is not None]
    for match in sorted(found, key=lambda one: one.start()):
        day = _day(match.groupdict(), sent, day_first)
        if day is not None:
            return day
    return None


def _end_of_span(text: str, sent: dt.date | None, day_first: bool) -> dt.date | None:
    """Return the last day of a span such as `30 November – 7 December`."""
    dates = sorted(
        (match.span() for pattern in _DATES for match in list(pattern.finditer(text))[:50]),
        key=lambda span: span[0],
    )
    for _start, end in dates:
        to = _TO.match(text, end)
        if to is not None and any(start == to.end() for start, _end in dates):
            return _first_day(text[to.end() : to.end() + 40], sent, day_first)
    return None


def _day(parts: dict[str, str | None], sent: dt.date | None, day_first: bool) -> dt.date | None:
    if parts.get("a"):
        first, second = int(parts["a"] or 0), int(parts["b"] or 0)
        if first <= 12 and second <= 12 and first != second and not day_first:
            return None
        month_first = second > 12 and first <= 12
        day, month = (second, first) if month_first else (first, second)
    else:
        day = int(parts["d"] or 0)
        month = _MONTHS[(parts["n"] or "").lower()] if parts.get("n") else int(parts.get("m") or 0)
    named = parts.get("y")
    year = int(named) if named else sent.year if sent is not None else 0
    try:
        date = dt.date(year + 2000 if 0 < year < 100 else year, month, day)
        if not named and sent is not None and date < sent:
            date = date.replace(year=date.year + 1)
    except ValueError:
        return None
    return date
