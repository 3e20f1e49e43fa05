"""The verbs of the outbox: submit a mail, and decide what becomes of one."""

from modules.outbox.service.decisions import (
    cancel,
    correct_everywhere,
    correct_recipient,
    count_sentence,
    dismiss,
    mark,
    mark_uncertain,
    resend,
    retry_now,
    show_worst,
    take_dismissal_back,
    take_mark_back,
)
from modules.outbox.service.queue import CHUNK, enqueue_delivery, release_due
from modules.outbox.service.submission import new_message_id, submit, write_mail
from modules.outbox.service.waiting import (
    begin_change,
    editor_of,
    end_change,
    prolong_change,
    replace,
    reschedule,
)

__all__ = [
    "CHUNK",
    "begin_change",
    "cancel",
    "correct_everywhere",
    "correct_recipient",
    "count_sentence",
    "dismiss",
    "editor_of",
    "end_change",
    "enqueue_delivery",
    "mark",
    "mark_uncertain",
    "new_message_id",
    "prolong_change",
    "release_due",
    "replace",
    "reschedule",
    "resend",
    "retry_now",
    "show_worst",
    "submit",
    "take_dismissal_back",
    "take_mark_back",
    "write_mail",
]
