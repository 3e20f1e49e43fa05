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
    WAITS,
    DeliveryAttempt,
    MailAttachment,
    MailEvent,
    MailRecipient,
    MailSearch,
    OutgoingMail,
)

__all__ = [
    "ALERTS",
    "ATTACHMENTS",
    "ATTEMPTS",
    "EVENTS",
    "MAILS",
    "MAIL_SEARCH",
    "RECIPIENTS",
    "WAITS",
    "Alert",
    "AlertPreference",
    "BulkRun",
    "DeliveryAttempt",
    "DraftFile",
    "EmlExport",
    "KeptDraft",
    "MailAttachment",
    "MailEvent",
    "MailRecipient",
    "MailSearch",
    "OutgoingMail",
]
