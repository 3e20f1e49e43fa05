"""What pages call the ways and states of distribution."""

from __future__ import annotations

from core.i18n import lazy_gettext as _l
from modules.distribution.models import DispatchState, Way

WAY_TITLES = {Way.MAIL: _l("Email"), Way.PAPER: _l("Paper"), Way.ARCHIVE: _l("Archive")}
WAY_ICONS = {Way.MAIL: "envelope", Way.PAPER: "printer", Way.ARCHIVE: "archive"}
STATE_TITLES = {
    DispatchState.ASKED: _l("to decide"),
    DispatchState.DUE: _l("waiting"),
    DispatchState.DONE: _l("done"),
    DispatchState.STOPPED: _l("stopped"),
    DispatchState.HELD: _l("held"),
}
STATE_TONES = {
    DispatchState.ASKED: ("warning", "question-circle"),
    DispatchState.DUE: ("info", "clock"),
    DispatchState.DONE: ("success", "check-circle-fill"),
    DispatchState.STOPPED: ("neutral", "slash-circle"),
    DispatchState.HELD: ("danger", "exclamation-octagon-fill"),
}
