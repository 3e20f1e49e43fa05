"""How the tables of replies are read: one tuple for each reply.

Most were really given, and found in bounces, log files, questions and the lists of providers, with addresses and
names made harmless; some were written by hand in the manner of a server. What each must mean was written by hand,
by what a person in support would make of it.

(step, code, words, kind, temporary, more): `more` names what else must be so – `advice`, `also`, `slows`.
"""

from __future__ import annotations

from typing import Any

from core.mail.outcomes import Advice, FailureKind, Reply, Stage
from core.mail.replies import explain_reply

C, H, T, A = Stage.CONNECT, Stage.HELLO, Stage.STARTTLS, Stage.AUTH
M, R, D, B = Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY
TEMP, PERM = True, False

Row = tuple[Stage, int, str, FailureKind, bool, dict[str, Any]]


def check(row: Row) -> None:
    """Translate a reply, and compare."""
    stage, code, words, kind, temporary, more = row
    failure = explain_reply(Reply.parse(code, words), stage)
    found = {"kind": failure.kind.value, "temporary": failure.temporary}
    wanted: dict[str, Any] = {"kind": kind.value, "temporary": temporary}
    if "advice" in more:
        found["advice"], wanted["advice"] = failure.advice, Advice(more["advice"])
    if "also" in more:
        found["also"], wanted["also"] = failure.also, FailureKind(more["also"])
    if "slows" in more:
        found["slows"], wanted["slows"] = failure.slows_server, more["slows"]
    assert found == wanted


def name(row: Row) -> str:
    """Return a name for a test."""
    return f"{row[0].value}-{row[1]}-{row[2][:40]!a}"
