"""The verbs of runs: prepare, choose, leave out, start, pause, continue, stop."""

from modules.outbox.runs.service.choices import (
    choose_packing,
    choose_promotional,
    choose_template,
    templates_of,
)
from modules.outbox.runs.service.items import choose, leave_out, look_at_held, send_anyway
from modules.outbox.runs.service.preparing import prepare, prepare_mailing
from modules.outbox.runs.service.reach import item_for, items_of, neighbors, reached, run_for, together_with
from modules.outbox.runs.service.rest import discard, send_rest
from modules.outbox.runs.service.rows import look_anew
from modules.outbox.runs.service.trying import preview, send_test
from modules.outbox.runs.service.whole import go_on, move, pause, resend_failed, start, stop
from modules.outbox.runs.telling import name_of

__all__ = [
    "choose",
    "choose_packing",
    "choose_promotional",
    "choose_template",
    "discard",
    "go_on",
    "item_for",
    "items_of",
    "leave_out",
    "look_anew",
    "look_at_held",
    "move",
    "name_of",
    "neighbors",
    "pause",
    "prepare",
    "prepare_mailing",
    "preview",
    "reached",
    "resend_failed",
    "run_for",
    "send_anyway",
    "send_rest",
    "send_test",
    "start",
    "stop",
    "templates_of",
    "together_with",
]
