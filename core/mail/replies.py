"""The translator: from a reply to what it means.

The table itself stands in `core.mail.rules`. Here the words of a reply are made plain, so that a rule need not
know how a server breaks its lines, writes its accents or names the recipient, and the rules are asked in order.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import unicodedata
from dataclasses import replace
from functools import lru_cache

from core.mail.advice import Advice
from core.mail.explanations import FailureKind
from core.mail.outcomes import Failure, Reply, Stage
from core.mail.rules import (
    codes,
    encryption,
    limits,
    messages,
    providers,
    recipients,
    reports,
    reputation,
    servers,
    sign_in,
    trust,
)
from core.mail.rules.model import MESSAGE, Rule

_FIRM = (
    *providers.FRENCH,
    *limits.GREYLISTS,
    *providers.YAHOO,
    *providers.MICROSOFT,
    *providers.CREDITS,
    *sign_in.TOKENS,
    *messages.HEAD,
    *trust.UNCLEAR_SENDER,
    *trust.DOMAIN_AUTHENTICATION,
    *trust.IDENTITY,
    *reputation.OUR_ADDRESS,
    *recipients.CHOOSY,
    *encryption.ENCRYPTION,
    *sign_in.REFUSED,
    *trust.RELAY,
    *sign_in.REQUIRED,
    *reputation.REPUTATION,
    *limits.RATES,
    *limits.MAILBOX_SPACE,
    *servers.SYSTEM_FULL,
    *messages.CONTENT,
    *limits.MAILBOX_FULL,
    *limits.SIZE,
    *limits.SPEED,
    *trust.HOST_NAMES,
    *reputation.BLOCK_LISTS,
    *trust.SENDER,
    *reputation.BLOCKED,
    *recipients.FORM,
)
_LOOSE = (
    *(replace(rule, stages=MESSAGE) for rule in reputation.SPAM),
    *recipients.GONE,
    *recipients.DOMAINS,
    *recipients.UNKNOWN,
    *reputation.SPAM,
    *reputation.SPAM_BY_STEP,
    *recipients.REFUSED,
    *servers.OWN_TROUBLE,
    *codes.FOR_NOW,
    *servers.SERVER_TROUBLE,
)
RULES: tuple[Rule, ...] = (*_FIRM, *codes.PRECISE, *_LOOSE, *codes.VAGUE, *codes.REPLY_CODES)
"""The table. Sure words come before codes: they are known to be truer. Other words come after the codes that say
one thing, and before those that say little. The last rows hold for any 4yz and 5yz."""

_SAID_FIRST = limits.MAILBOX_FULL  # "mailbox is full: retry timeout exceeded"
_UNSURE = frozenset(map(id, (*codes.FOR_NOW, *codes.VAGUE, *codes.REPLY_CODES)))
"""Rules whose words and codes say little: what they mean is read off the step of the dialogue."""

_STEPS = {
    "end of data": Stage.BODY,
    "data": Stage.DATA,
    "mail from": Stage.MAIL,
    "rcpt to": Stage.RCPT,
    "ehlo": Stage.HELLO,
    "helo": Stage.HELLO,
    "initial": Stage.CONNECT,
}
_IN_REPLY_TO = re.compile(r"\(?in reply to (end of data|data|mail from|rcpt to|ehlo|helo|initial)[^)]*\)?")
_HEAD_OF_LINE = re.compile(
    r"^[ \t]*(?:[45]\d\d(?:[ -]|$))?[ \t]*[#<({\[]*(?:[245]\.\d{1,3}\.\d{1,3}(?=[\s:;,)\]>}-]|$))?",
    re.MULTILINE,
)
_CHALLENGE = re.compile(r"\beyJ[A-Za-z0-9+/]{10,}={0,2}")
_QUOTED_HOST = re.compile(r"\bhost \S+ (?:\[?\(?[0-9a-f.:]+\)?\]? )?said:? ?")
_ADDRESS = re.compile(
    # Begun where a word begins, so that a long word is read once and not once for each of its letters.
    r"<[^<>\s]*@[^<>\s]*>|(?<![^\s<>()\[\]:;,=])[^\s<>()\[\]:;,=]+@[^\s<>()\[\]:;,]+"
)
_URL = re.compile(r"(?:https?://|www\.)\S+")
# Addresses of pages say nothing – unless they do.
_TELLING_URL = re.compile(
    r"spamhaus|spamcop|barracuda|sorbs|dnsbl|\brbl|uribl|surbl|cloudmark|senderscore|openspf|[?&]p=|dmarc"
    r"|smtp_auth_disabled|abusix|blacklist|blocklist|lookup\.|uceprotect|postgrey|gr[ae]ylist|dnsbl-lookup|smtplf"
)
_ONE_WORD = (
    (re.compile(r"\be[ -]?mails?\b|\be mail"), "email"),
    (re.compile(r"\bblack[ -]list"), "blacklist"),
    (re.compile(r"\bblock[ -]list"), "blocklist"),
    (re.compile(r"\bmail[ -]box"), "mailbox"),
)
_PUNCTUATION = str.maketrans(
    {"-": " ", "_": " ", '"': "", "“": "", "”": "", "«": "", "»": "", "’": "'", "`": "'"}
)
_SPACES = re.compile(r"\s+")
# How those begin to speak who are something else: web servers, IMAP (RFC 3501), POP (RFC 1939), SSH.
_OTHER_SERVICES = ("HTTP/", "<!", "<html", "* OK", "* PREAUTH", "* BYE", "+OK", "-ERR", "SSH-")
# No server needs more words to say what is wrong; what goes on may be made to keep the rules busy.
_MAX_WORDS = 800


def explain_reply(reply: Reply, stage: Stage) -> Failure:
    """Translate a refusal of a server into a failure.

    A 4yz is always temporary. A 5yz is permanent, except where its words or code are known to mean "later": a
    rate, a quota of the day, greylisting. What is neither makes no sense, and may pass.
    """
    if not 400 <= reply.code < 600 and not (reply.code == 334 and stage is Stage.AUTH):
        advice = Advice.OTHER_SERVICE if reply.text.startswith(_OTHER_SERVICES) else None
        return Failure(FailureKind.SERVER_ERROR, temporary=True, reply=reply, advice=advice)
    words, quoted_stage = plain_words(reply.text)
    rule = _rule_for(reply.code, reply.enhanced.partition(".")[2], words, quoted_stage or stage)
    temporary = rule.temporary if rule.temporary is not None and not reply.temporary else reply.code < 500
    return Failure(rule.kind, temporary, reply, also=rule.also, advice=rule.advice, slows_server=rule.slows)


def explain_report(reply: Reply, stage: Stage) -> tuple[Failure, bool]:
    """Translate what a report says of a failed delivery.

    Args:
        reply: The reply that the report quotes. Where it quotes none, the words of the reporting server: their code is
            then 0 for a failure that may pass and 1 for one that will not.
        stage: The step at which the reply was given, `RCPT` where nothing says it.

    Returns:
        The failure, and whether words or code say it surely. A report holds several texts, of which the surest counts.
    """
    if reply.code >= 400:
        words, quoted_stage = plain_words(reply.text)
        subject = reply.enhanced.partition(".")[2]
        rule = _rule_for(reply.code, subject, words, quoted_stage or stage)
        if _is_sure(rule):
            return explain_reply(reply, stage), True
        # The reporting server gives its own trouble a code as well: "554 could not connect".
        own = next((one for one in reports.WITH_A_CODE if one.fits(reply.code, subject, words, stage)), None)
        if own is None:
            return explain_reply(reply, stage), False
        return Failure(own.kind, reply.temporary, reply, advice=own.advice), True
    permanent = reply.code == 1
    words, _ = plain_words(reply.text)
    # Neither says anything by itself (RFC 5321 §4.2.1: "transaction failed", "local error").
    code, subject = 554 if permanent else 451, reply.enhanced.partition(".")[2]
    rules = (*_SAID_FIRST, *reports.ATTEMPTS, *RULES)
    rule = next(rule for rule in rules if rule.fits(code, subject, words, stage))
    failure = Failure(
        rule.kind,
        not permanent,
        replace(reply, code=0),
        also=rule.also,
        advice=rule.advice,
        slows_server=rule.slows,
    )
    return failure, _is_sure(rule)


def explain_token(words: str) -> Failure | None:
    """Translate what a server of OAuth says about a token; None when it says nothing known."""
    plain, _ = plain_words(words)
    for rule in sign_in.TOKENS:
        if rule.fits(0, "", plain, Stage.AUTH):
            return Failure(rule.kind, temporary=True, advice=rule.advice)
    return None


def plain_words(text: str) -> tuple[str, Stage | None]:
    """Return the words of a reply as rules read them, and the step at which another server has said them."""
    challenge = _CHALLENGE.search(text)
    if challenge is not None:
        with contextlib.suppress(binascii.Error):
            text += " " + base64.b64decode(challenge.group() + "==").decode("ascii", "ignore")
    text = _HEAD_OF_LINE.sub(" ", text)
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = _SPACES.sub(" ", text)
    text = _URL.sub(lambda url: url.group() if _TELLING_URL.search(url.group()) else " ", text)
    text = _QUOTED_HOST.sub(" ", _ADDRESS.sub("<a>", text)).translate(_PUNCTUATION)
    for several, one in _ONE_WORD:
        text = several.sub(one, text)
    quoted = _IN_REPLY_TO.search(text)
    if quoted is not None:
        text = text[: quoted.start()] + text[quoted.end() :]
    return _SPACES.sub(" ", text).strip()[:_MAX_WORDS], _STEPS[quoted.group(1)] if quoted else None


def _is_sure(rule: Rule) -> bool:
    return id(rule) not in _UNSURE


@lru_cache(maxsize=512)
def _rule_for(code: int, subject: str, words: str, stage: Stage) -> Rule:
    # Cached, since a server says the same words about a hundred recipients.
    rule = next(rule for rule in RULES if rule.fits(code, subject, words, stage))
    if rule.advice is None:
        # The code says what; words of the same kind may say it more finely.
        for finer in (*_FIRM, *_LOOSE):
            if (
                finer.kind is rule.kind
                and finer.advice
                and finer.words
                and finer.fits(code, subject, words, stage)
            ):
                return replace(rule, advice=finer.advice)
    return rule
