"""The tables of the outbox."""

from modules.outbox.models.alerts import ALERTS, Alert, AlertPreference
from modules.outbox.models.bulk import BulkRun
from modules.outbox.models.drafts import DraftFile, EmlExport, KeptDraft
from modules.outbox.models.mails import (
    ATTACHMENTS,
    ATTEMPTS,
    EVENTS,
    MAIL_SEARCH,
    MAILS,
    RECIPIENTS,
    DeliveryAttempt,
    MailAttachment,
    MailEvent,
    MailRecipient,
    MailSearch,
    OutgoingMail,
)
from modules.outbox.models.runs import RUN_ITEMS, HeldReason, ItemState, Run, RunItem, RunState

__all__ = [
    "ALERTS",
    "ATTACHMENTS",
    "ATTEMPTS",
    "EVENTS",
    "MAILS",
    "MAIL_SEARCH",
    "RECIPIENTS",
    "RUN_ITEMS",
    "Alert",
    "AlertPreference",
    "BulkRun",
    "DeliveryAttempt",
    "DraftFile",
    "EmlExport",
    "HeldReason",
    "ItemState",
    "KeptDraft",
    "MailAttachment",
    "MailEvent",
    "MailRecipient",
    "MailSearch",
    "OutgoingMail",
    "Run",
    "RunItem",
    "RunState",
]
