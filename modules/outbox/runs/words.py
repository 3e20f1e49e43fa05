"""A run in words: its state, how it stands, and why something of it is held."""

from __future__ import annotations

from flask_babel import gettext, ngettext

from core.i18n import lazy_gettext as _l
from modules.outbox.models import HeldReason, Packing, Run, RunState
from modules.outbox.runs.counts import Counts

RUN_TITLES = {
    RunState.DRAFT: _l("not started"),
    RunState.RUNNING: _l("running"),
    RunState.PAUSED: _l("paused"),
    RunState.STOPPED: _l("stopped"),
    RunState.DONE: _l("done"),
}
RUN_TONES = {
    RunState.DRAFT: ("neutral", "pencil"),
    RunState.RUNNING: ("info", "play-fill"),
    RunState.PAUSED: ("warning", "pause-fill"),
    RunState.STOPPED: ("neutral", "stop-fill"),
    RunState.DONE: ("success", "check-circle-fill"),
}
SCHEDULED = "scheduled"
"""How a run stands that was started for later; any other stands as its state says."""
PACKING_TITLES = {
    Packing.EACH: _l("One email per document"),
    Packing.TOGETHER: _l("One email per customer, with all documents"),
    Packing.ZIP: _l("One email per customer, with one zip file"),
}
REASON_TITLES = {
    HeldReason.NO_ADDRESS: _l("No address"),
    HeldReason.SEVERAL_ADDRESSES: _l("Choose the address"),
    HeldReason.OPTED_OUT: _l("Opted out of emails"),
    HeldReason.WANTS_PAPER: _l("Wants it on paper"),
    HeldReason.DEAD_ADDRESS: _l("The address no longer exists"),
    HeldReason.SENT_BEFORE: _l("Sent already"),
    HeldReason.NOT_SENDABLE: _l("Cannot be sent"),
    HeldReason.NOT_ALLOWED: _l("You may not send it"),
    HeldReason.NO_TEMPLATE: _l("No template for it"),
    HeldReason.TEMPLATE_BROKEN: _l("The template is broken"),
    HeldReason.CHANGED: _l("Changed meanwhile"),
    HeldReason.RECIPIENTS_CHANGED: _l("Other recipients now"),
    HeldReason.GONE: _l("No longer there"),
    HeldReason.NOT_OPTED_IN: _l("Has not agreed to promotional emails"),
    HeldReason.REFUSED: _l("Cannot be written"),
}


def standing_of(run: Run) -> str:
    """Return how a run stands: `SCHEDULED`, or the name of its state."""
    return SCHEDULED if run.scheduled else run.state.value


def badge_of_run(run: Run) -> tuple[str, str, str]:
    """Return the words, the tone and the icon for how a run stands."""
    if run.scheduled:
        return gettext("scheduled"), "info", "clock"
    return str(RUN_TITLES[run.state]), *RUN_TONES[run.state]


def deed_words(run: Run) -> str:
    """Return who has last paused, continued or stopped a run; "" where nobody has."""
    # One that has paused by itself says why.
    if run.acted_at is None or (run.state is RunState.PAUSED and run.paused_why):
        return ""
    name = run.acted_by.name if run.acted_by is not None else "–"
    match run.state:
        case RunState.PAUSED:
            return str(gettext("Paused by %(name)s", name=name))
        case RunState.STOPPED:
            return str(gettext("Stopped by %(name)s", name=name))
        case _:
            return str(gettext("Continued by %(name)s", name=name))


def unsent_words(run: Run, counts: Counts) -> str:
    """Return in words how many documents of a run that has ended did not go; "" for none."""
    unsent = counts.unsent if run.ended_at is not None else 0
    if not unsent:
        return ""
    if run.of_customers:
        return str(ngettext("%(num)d customer got none.", "%(num)d customers got none.", unsent))
    return str(ngettext("%(num)d document was not sent.", "%(num)d documents were not sent.", unsent))


def progress_words(run: Run, counts: Counts) -> list[str]:
    """Return how a run stands in a few sentences, one for each number that is not zero.

    Args:
        run: The run. Where its mails may carry several documents, it is said how many there are of either.
        counts: The numbers.
    """
    numbers = (
        (
            counts.accepted,
            ngettext("%(num)d email was accepted.", "%(num)d emails were accepted.", counts.accepted),
        ),
        (counts.moving, ngettext("%(num)d is on its way.", "%(num)d are on their way.", counts.moving)),
        (counts.failed, ngettext("%(num)d was not accepted.", "%(num)d were not accepted.", counts.failed)),
        (counts.canceled, ngettext("%(num)d was canceled.", "%(num)d were canceled.", counts.canceled)),
    )
    said = [words for count, words in numbers if count]
    mails = sum(counts.mails.values()) - counts.canceled
    if run.packs and mails:
        emails = ngettext("%(num)d email", "%(num)d emails", mails)
        said.insert(
            0,
            ngettext(
                "%(num)d document in %(emails)s.",
                "%(num)d documents in %(emails)s.",
                counts.carried,
                emails=emails,
            ),
        )
    if unsent := unsent_words(run, counts):
        said.append(unsent)
    return said
