"""What pages call the ways and states of distribution."""

from __future__ import annotations

from enum import StrEnum

from core.i18n import lazy_gettext as _l
from modules.distribution.models import DispatchState, PrintState, Way
from modules.outbox.models import Way as HandOverWay

WAY_TITLES: dict[StrEnum, object] = {
    Way.MAIL: _l("Email"),
    Way.PAPER: _l("Paper"),
    Way.ARCHIVE: _l("Archive"),
}
WAY_ICONS = {Way.MAIL: "envelope", Way.PAPER: "printer", Way.ARCHIVE: "archive"}
HISTORY_TITLES: dict[StrEnum, object] = {
    **WAY_TITLES,
    HandOverWay.POST: _l("Handed over by post"),
    HandOverWay.COUNTER: _l("Handed over at the counter"),
    HandOverWay.PORTAL: _l("Handed over by a portal"),
    HandOverWay.TELEPHONE: _l("Told on the telephone"),
    HandOverWay.OTHER: _l("Handed over another way"),
}
"""The ways of the history: those of rules, and those by which a person has handed a document over."""
OTHERWISE = "handed-over"
"""The choice of all of the latter."""
DISPATCH_TITLES = {
    DispatchState.ASKED: _l("to decide"),
    DispatchState.DUE: _l("waiting"),
    DispatchState.DONE: _l("done"),
    DispatchState.STOPPED: _l("stopped"),
    DispatchState.HELD: _l("held"),
}
DISPATCH_TONES = {
    DispatchState.ASKED: ("warning", "question-circle"),
    DispatchState.DUE: ("info", "clock"),
    DispatchState.DONE: ("success", "check-circle-fill"),
    DispatchState.STOPPED: ("neutral", "slash-circle"),
    DispatchState.HELD: ("danger", "exclamation-octagon-fill"),
}
PRINT_TITLES = {
    PrintState.CHOSEN: _l("to be made"),
    PrintState.MAKING: _l("being made"),
    PrintState.READY: _l("ready"),
    PrintState.FAILED: _l("not there"),
}
PRINT_TONES = {
    PrintState.CHOSEN: ("neutral", "circle"),
    PrintState.MAKING: ("info", "arrow-repeat"),
    PrintState.READY: ("success", "check-circle-fill"),
    PrintState.FAILED: ("danger", "x-octagon-fill"),
}
RESULT_TITLES = {
    "done": _l("done"),
    "waiting": _l("waiting"),
    "failed": _l("failed or held"),
    "stopped": _l("stopped or canceled"),
}
