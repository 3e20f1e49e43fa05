"""Who has written a message: a mail server, or somebody who may quote one."""

from __future__ import annotations

import re

from core.mail.bounces import answers
from core.mail.bounces.diagnosis import find_reply, find_status
from core.mail.bounces.message import returned_head, words_of
from core.mail.bounces.parts import Fields, Part

FAILED_FIELDS = ("x-failed-recipients", "x-failed-recipient", "x-actual-recipient")
"""Fields that only a server writes that could not deliver (Exim, Gmail)."""

_DAEMON = re.compile(
    r"mailer[-_. ]?(?:daemon|demon)|post[-_]?master|mail[-_ ]?(?:daemon|delivery|deliver)|mdaemon|mail system"
    r"|double-bounce"
    r"|mail administrator|system administrator|internet mail delivery|mailadmin|mail-?handler|mailmaster"
    r"|post[-_ ]?office"
    r"|\bsmtpd?\d{0,2}@|smtp[-_ ]mail|microsoft outlook|mail-router|e-?mail-?system|info-dsn",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\b(?:could not be delivered|cannot be delivered|was not delivered|did not reach|undeliverable"
    r"|non-delivery report"
    r"|wasn't able to deliver|was unable to deliver|unable to deliver|failed permanently)\b|^intended recipient: ",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"\s{0,20}(?:[^\n]{0,40}[,!]\s*\n|(?:hello|hi|dear|good (?:morning|afternoon|day)|bonjour|bonsoir|madame"
    r"|monsieur|cher"
    r"|hallo|guten|sehr geehrte|liebe|hola|buenos|estimad|ciao|buongiorno|gentile|ol[aá]|bom dia|prezad|beste"
    r"|geachte)\b)",
    re.IGNORECASE,
)
_PASSED_ON = re.compile(r"\s*(?:re|fwd?|tr|aw|wg|sv|vs|i|rv|enc|doorst)\s?:", re.IGNORECASE)
_ROBOT = re.compile(r"no[-_.]?reply|do[-_.]?not[-_.]?reply|-admin@|administrator@", re.IGNORECASE)
_SUBJECT = re.compile(
    r"undeliver|un-deliver|not deliver|non[- ]?deliver|(?:delivery|mail|message|email)\b.{0,30}\b(?:fail|error"
    r"|delay|status|problem|report"
    r"|unsuccess|notification|refused|rejected|returned|could not|warning|incomplete)|(?:fail|error|problem"
    r"|unable|could not|couldn't|cannot)\w*"
    r"\b.{0,30}\b(?:deliver|mail|message|sending|send)|returned (?:mail|message|to sender|e-?mail)"
    r"|failure notice|bounce|returning message"
    r"|user unknown|unknown (?:user|recipient|address)|warning:|mail system error|nondeliver|non remis"
    r"|non distribu|échec de la (?:remise|livraison)"
    r"|unzustellbar|nicht zugestellt|zustell|fehlgeschlagen|no entregad|no se (?:ha|pudo)|entrega"
    r"|mancata consegna|onbestelbaar|niet (?:be|af)geleverd"
    r"|недоставл|не доставлен|сообщение об ошибке|エラー|配信|届|退信|无法|投递|系统退信|delivery has failed"
    r"|address (?:rejected|unknown)|mail could"
    r"|message not|blocked|rejected|quota|mailbox (?:full|unavailable)|delivery$",
    re.IGNORECASE,
)


def is_from_a_server(message: Part) -> bool:
    """Tell whether a mail server has written the message, as far as its head shows.

    A person may quote a bounce, forward one, or be named Postmaster; so one sign is not enough, unless it is one that
    only servers give.
    """
    fields = message.fields
    if message.parameters.get("report-type", "").lower() == "delivery-status":
        return True
    if any(fields.first(name) for name in (*FAILED_FIELDS, "x-mlserver")):
        return not _is_vacation(fields)
    sender = fields.first("from") or fields.first("sender")
    path = fields.first("return-path").strip()
    subject = _SUBJECT.search(fields.first("subject")) is not None
    daemon = _DAEMON.search(sender) is not None or not sender.strip("<> ")
    null = path == "<>" or _DAEMON.search(path) is not None
    listed = bool(fields.first("list-id") or fields.first("list-unsubscribe"))
    if _is_vacation(fields) or ((listed or fields.first("in-reply-to")) and not daemon and not null):
        return False
    robot = _ROBOT.search(sender) is not None and bool(returned_head(message))
    signs = null + subject + robot
    if daemon or signs >= 2:
        return (daemon and signs > 0) or _speaks_like_one(message) or bool(returned_head(message))
    return subject and not _PASSED_ON.match(fields.first("subject")) and _is_gateway(words_of(message))


def is_from_a_daemon(fields: Fields) -> bool:
    """Tell whether a program with the name of a mail server has sent the message, and wants no answer."""
    daemon = _DAEMON.search(fields.first("from")) is not None
    return daemon and fields.first("return-path").strip() == "<>" and not fields.first("list-id")


def _is_gateway(words: str) -> bool:
    """Tell a gateway with a name like a person's, such as admin@. A person begins with a greeting."""
    return not _GREETING.match(words) and _opens_like_one(words)


def is_passed_on(fields: Fields) -> bool:
    """Tell whether a person answers or forwards something."""
    if _DAEMON.search(fields.first("from")) is not None:
        return False
    return _PASSED_ON.match(fields.first("subject")) is not None or bool(fields.first("in-reply-to"))


def _speaks_like_one(message: Part) -> bool:
    words = words_of(message)
    return find_reply(words) is not None or find_status(words) != "" or _opens_like_one(words)


def _opens_like_one(words: str) -> bool:
    begin = [line for line in words[:2000].split("\n") if any(map(str.isalpha, line))][:4]
    return any(_OPENING.search(line[:300]) for line in begin)


def _is_vacation(fields: Fields) -> bool:
    return answers.is_automatic(fields) and _DAEMON.search(fields.first("from")) is None
