"""From the words and codes of a report to a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.mail.bounces.model import Action, Notice
from core.mail.outcomes import Failure, FailureKind, Reply, Stage, printable
from core.mail.replies import explain_report

# A reply code stands where a line, a quotation or a sentence begins, and words follow it; numbers of days, octets and
# ports stand elsewhere.
_REPLY = re.compile(
    r"(?:^|(?<=[\s:;>(\"'\[=.,]))([45][0-7]\d)(?:[ \t]*[- :][ \t]*|[ \t]+|[ \t]*\n[ \t]+)"
    r"(?:[45]\d\d[- ])?(?=[\[(#]{0,2}[245]\.\d{1,3}\.\d|[<\"'*]?[^\W\d]|\[|\(|[-:#*])",
)
# What the reporting server adds to the reply: Exim, qmail, Sendmail.
_OWN_WORDS = re.compile(
    r": retry timeout exceeded|\n?I'm not going to try again|\nGiving up on |\n(?:503 |<<< 503 )|\n[ \t]*---"
)
_ZOHO = re.compile(r"ERROR_CODE :(\d{3})?,? ?(?:ERROR_CODE :,?)?")
_UNITS = re.compile(r"(?:hours?|days?|bytes?|octets?|kb|mb|seconds?|minutes?)\b", re.IGNORECASE)
_BARE_REPLY = re.compile(r"^\W{0,3}([45][0-5]\d)\W{0,3}$", re.MULTILINE)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_STAGE = re.compile(
    r"(?:in reply to|after|in response to|response to|did not like our|>>>) ?(?:the )?(?:sending )?(?:smtp )?"
    r"(end of data|end of message|data|rcpt|mail from|mail|initial connection|connection|helo|ehlo"
    r"|pipelined end of data)\b"
    # qmail.
    r"|(my name|sender) was rejected|(does not like recipient)|(failed (?:after i sent the message|on data))",
    re.IGNORECASE,
)
_STAGES = {
    "end of data": Stage.BODY,
    "pipelined end of data": Stage.BODY,
    "end of message": Stage.BODY,
    "data": Stage.BODY,
    "rcpt": Stage.RCPT,
    "mail from": Stage.MAIL,
    "mail": Stage.MAIL,
    "initial connection": Stage.CONNECT,
    "connection": Stage.CONNECT,
    "helo": Stage.HELLO,
    "ehlo": Stage.HELLO,
}
# Kinds that pass by themselves where nothing says whether they do.
_PASSING = {
    FailureKind.TIMEOUT,
    FailureKind.CONNECT_FAILED,
    FailureKind.SERVER_ERROR,
    FailureKind.RATE_LIMITED,
}
# Given up after a time: the failure itself might have passed.
_EXPIRED = re.compile(
    r"retry time|time(?:d )?out|timeout|expired|too long in|been in the queue|multiple retries|delivery attempts"
)
_EITHER = {FailureKind.SPAM_SUSPECTED, FailureKind.SENDER_REFUSED, FailureKind.RECIPIENT_REFUSED}
_SEEN = {FailureKind.MESSAGE_REFUSED, FailureKind.MESSAGE_TOO_LARGE}
_MAX_WORDS = 4000


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is made of the words about one recipient."""

    failure: Failure
    permanent: bool
    status: str
    reply_code: int
    diagnostic: str

    def notice(
        self,
        recipient: str,
        action: Action,
        *,
        original_recipient: str = "",
        remote_mta: str = "",
        retry_until: str = "",
    ) -> Notice:
        """Return what is said about one recipient, with this diagnosis."""
        return Notice(
            recipient,
            action,
            self.permanent,
            self.failure,
            self.status,
            self.reply_code,
            self.diagnostic,
            original_recipient,
            remote_mta,
            retry_until,
        )


def find_reply(text: str) -> Reply | None:
    """Return the first reply of a server that a text quotes; None when it quotes none."""
    for match in _REPLY.finditer(text):
        if not _UNITS.match(text, match.end()):
            after = _OWN_WORDS.split(text[match.end() : match.end() + _MAX_WORDS], maxsplit=1)[0]
            # Reports break the lines of a reply anew, so that its code stands anywhere in them.
            if f"{match[1]}-" in text:
                after = re.sub(rf"(?<=\s){match[1]}[- ](?=\D|[245]\.\d)", "", after)
            return Reply.parse(int(match[1]), after)
    bare = _BARE_REPLY.search(text)
    return Reply(int(bare[1]), "", printable(text)) if bare is not None else None


def find_status(text: str) -> str:
    """Return the first enhanced code of a failure in a text, or ""."""
    return next((match[1] for match in _STATUS.finditer(text) if match[1][0] != "2"), "")


def diagnose(texts: Iterable[str], status: str = "", *, delayed: bool = False) -> Diagnosis:
    """Say what has failed.

    Args:
        texts: What is said of it, the nearest first: the words of the refusing server, then those of the report.
        status: The field Status of the report, or "".
        delayed: True when the server still tries.
    """
    found: list[Diagnosis] = []
    read = [text for said in texts if (text := _ZOHO.sub(r"\1 ", said.strip()[:_MAX_WORDS]))]
    for number, text in enumerate(read):
        # A field holds the reply alone; at which step it was given, the text for people says.
        spoken = next((step for one in read[number:] if (step := _STAGE.search(" ".join(one.split())))), None)
        diagnosis, sure = _diagnose(text, status, delayed, spoken)
        if sure:
            return _with_codes(diagnosis, found)
        found.append(diagnosis)
    return _with_codes(found[0], found[1:]) if found else _diagnose("", status, delayed, None)[0]


def _with_codes(diagnosis: Diagnosis, others: list[Diagnosis]) -> Diagnosis:
    """Return the diagnosis with the codes that another text has given."""
    code = diagnosis.reply_code or next((other.reply_code for other in others if other.reply_code), 0)
    return replace(diagnosis, reply_code=code) if code else diagnosis


def _diagnose(text: str, status: str, delayed: bool, spoken: re.Match[str] | None) -> tuple[Diagnosis, bool]:
    reply = find_reply(text)
    named = status or find_status(text)
    permanent = _permanent(status, reply, text, delayed)
    stage = _stage_of(spoken) if spoken is not None else Stage.RCPT
    if reply is not None:
        # A code in the words is the refusing server's; the field may be the reporting server's opinion.
        enhanced = (
            reply.enhanced or find_status(text) or (status if status[:1] == str(reply.code)[:1] else "")
        )
        words = replace(reply, enhanced=enhanced, text=text if len(reply.text) < 4 else reply.text)
    else:
        words = Reply(0 if permanent is False else 1, named, printable(text))
    failure, sure = explain_report(words, stage)
    if spoken is None and (not sure or failure.kind in _EITHER):
        # Nobody says at which step; what is wrong with a message is said after it.
        later, surely = explain_report(words, Stage.BODY)
        if surely and (not sure or later.kind in _SEEN):
            failure, sure = later, True
    if permanent is None:
        permanent = failure.kind not in _PASSING
    elif reply is not None and reply.code >= 500 and failure.temporary and not status.startswith("5"):
        # Words that are known to mean "later", such as greylisting.
        permanent = False
    failure = replace(failure, temporary=not permanent)
    code = reply.code if reply is not None else 0
    return Diagnosis(failure, permanent, named, code, printable(text)), sure


def _stage_of(spoken: re.Match[str]) -> Stage:
    if spoken[1]:
        return _STAGES[spoken[1].lower()]
    if spoken[2]:
        return Stage.MAIL if spoken[2].lower() == "sender" else Stage.HELLO
    return Stage.RCPT if spoken[3] else Stage.BODY


def _permanent(status: str, reply: Reply | None, text: str, delayed: bool) -> bool | None:
    """Tell whether trying again is of no use; None when nothing says it."""
    if delayed:
        return False
    named = status or (str(reply.code) if reply is not None else find_status(text))
    lowered = text.lower()
    given_up = _EXPIRED.search(lowered) is not None
    if named:
        # "5.0.0" is Exim's for whatever it gives up on, also for what had only to wait.
        had_to_wait = status == "5.0.0" and reply is not None and reply.temporary and given_up
        return named.startswith("5") and not had_to_wait
    if given_up or "temp_failure" in lowered:
        return False
    if "permanent" in lowered or "fatal error" in lowered:
        return True
    return False if "temporar" in lowered or "not found, try again" in lowered else None
