"""The tables of the outbox."""

from modules.outbox.models.alerts import ALERTS, Alert, AlertPreference
from modules.outbox.models.bulk import BulkRun
from modules.outbox.models.drafts import DraftFile, EmlExport, KeptDraft
from modules.outbox.models.hand_overs import HAND_OVERS, HandOver, Way
from modules.outbox.models.inbound import INBOUND, InboundMessage, Mailbox, RecipientNotice, Verdict
from modules.outbox.models.mails import (
    ATTACHMENTS,
    ATTEMPTS,
    EVENTS,
    MAIL_SEARCH,
    MAILS,
    RECIPIENTS,
    WAITS,
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
    "HAND_OVERS",
    "INBOUND",
    "MAILS",
    "MAIL_SEARCH",
    "RECIPIENTS",
    "RUN_ITEMS",
    "WAITS",
    "Alert",
    "AlertPreference",
    "BulkRun",
    "DeliveryAttempt",
    "DraftFile",
    "EmlExport",
    "HandOver",
    "HeldReason",
    "InboundMessage",
    "ItemState",
    "KeptDraft",
    "MailAttachment",
    "MailEvent",
    "MailRecipient",
    "MailSearch",
    "Mailbox",
    "OutgoingMail",
    "RecipientNotice",
    "Run",
    "RunItem",
    "RunState",
    "Verdict",
    "Way",
]
