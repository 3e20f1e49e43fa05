"""What is done to many mails at once, and what became of it, in words. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flask_babel import gettext, ngettext

from modules.outbox import service
from modules.outbox.models import BulkRun
from modules.outbox.states import MailState


class Action(StrEnum):
    """An action on many mails."""

    RETRY = "retry"  # failed ones go on the queue again
    NOW = "now"  # waiting ones do not wait any longer
    CANCEL = "cancel"  # waiting ones are not sent
    ARRIVED = "arrived"  # uncertain ones have arrived, says a person
    LOST = "lost"  # uncertain ones have not


SENDS = frozenset({Action.RETRY, Action.NOW})
"""By which something leaves."""
MANY = 10
"""More mails than this are sent again only after a while in which that can be called back."""


class Left(StrEnum):
    """Why an action has left a mail alone."""

    MOVING = "moving"
    ARRIVED = "arrived"
    SETTLED = "settled"
    CANCELED = "canceled"
    ERASED = "erased"
    CERTAIN = "certain"


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action on some mails, as counts.

    Attributes:
        changed: How many the action has changed.
        uncertain: How many were left alone since somebody may have them already.
        outdated: How many were left alone since their document says something else by now.
        why: How many were left alone for any other reason, by the reason.
    """

    changed: int = 0
    uncertain: int = 0
    outdated: int = 0
    why: Mapping[str, int] = field(default_factory=dict)

    @property
    def other(self) -> int:
        """How many were left alone for any other reason."""
        return sum(self.why.values())


def why_left(action: Action, state: MailState, *, erased: bool) -> Left:
    """Return why an action has left a mail alone that was in a state."""
    if state in {MailState.QUEUED, MailState.SENDING}:
        return Left.MOVING
    if action in {Action.ARRIVED, Action.LOST}:
        return Left.CERTAIN
    if state is MailState.SENT:
        return Left.ARRIVED
    if state is MailState.CANCELED and action is Action.CANCEL:
        return Left.CANCELED
    return Left.ERASED if erased and action in SENDS else Left.SETTLED


def _sentence_why(left: Left, count: int) -> str:
    match left:
        case Left.MOVING:
            words = ngettext("%(num)d is being sent already.", "%(num)d are being sent already.", count)
        case Left.ARRIVED:
            words = ngettext("%(num)d has been sent already.", "%(num)d have been sent already.", count)
        case Left.CANCELED:
            words = ngettext("%(num)d was canceled before.", "%(num)d were canceled before.", count)
        case Left.ERASED:
            words = ngettext(
                "Of %(num)d the text was erased, so it cannot be sent again.",
                "Of %(num)d the text was erased, so they cannot be sent again.",
                count,
            )
        case Left.CERTAIN:
            words = ngettext("%(num)d is not uncertain.", "%(num)d are not uncertain.", count)
        case _:
            words = ngettext(
                "%(num)d does not wait any more: it has failed.",
                "%(num)d do not wait any more: they have failed.",
                count,
            )
    return str(words)


def sentence(action: Action, done: Done) -> str:
    """Return what became of mails, in words."""
    if action is Action.CANCEL:
        words = [ngettext("%(num)d email was canceled.", "%(num)d emails were canceled.", done.changed)]
    elif action is Action.ARRIVED:
        words = [
            ngettext("%(num)d email is marked as sent.", "%(num)d emails are marked as sent.", done.changed)
        ]
    elif action is Action.LOST:
        words = [
            ngettext(
                "%(num)d email is marked as not received.",
                "%(num)d emails are marked as not received.",
                done.changed,
            )
        ]
    else:
        words = [service.count_sentence(done.changed)]
    if done.uncertain:
        words.append(
            ngettext(
                "%(num)d is uncertain and was left alone: open it and decide whether to send it again.",
                "%(num)d are uncertain and were left alone: open each and decide whether to send it again.",
                done.uncertain,
            )
        )
    if done.outdated:
        words.append(
            ngettext(
                "%(num)d no longer says what its document says and was left alone: open the document and send it anew.",
                "%(num)d no longer say what their documents say and were left alone: open each document and send it "
                "anew.",
                done.outdated,
            )
        )
    words += [_sentence_why(left, done.why[left]) for left in Left if done.why.get(left)]
    return " ".join(words)


def title(run: BulkRun) -> str:
    """Return what a run does, in words."""
    if run.action == Action.CANCEL:
        return str(gettext("Canceling many emails"))
    if run.action in {Action.ARRIVED, Action.LOST}:
        return str(gettext("Deciding about many emails"))
    return str(gettext("Putting many emails on the queue"))


def outcome(run: BulkRun) -> str:
    """Return what a run has done so far, in words."""
    return sentence(
        Action(run.action), Done(run.changed, run.left_uncertain, run.left_outdated, run.left_why)
    )
