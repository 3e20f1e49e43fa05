"""The tables of the outbox."""

from modules.outbox.models.alerts import ALERTS, Alert, AlertPreference
from modules.outbox.models.bulk import BulkRun
from modules.outbox.models.drafts import DraftFile, EmlExport, KeptDraft
from modules.outbox.models.further import FurtherDocument
from modules.outbox.models.hand_overs import HAND_OVERS, HandOver, Way
from modules.outbox.models.history import ATTEMPTS, EVENTS, DeliveryAttempt, MailEvent
from modules.outbox.models.inbound import (
    ANSWER_FILES,
    ANSWERS,
    INBOUND,
    Answer,
    AnswerFile,
    InboundMessage,
    Mailbox,
    RecipientNotice,
    RelayHook,
    RelayProvider,
    Verdict,
)
from modules.outbox.models.mails import (
    ATTACHMENTS,
    FAILS,
    MAIL_SEARCH,
    MAILS,
    WAITS,
    MailAttachment,
    MailSearch,
    OutgoingMail,
)
from modules.outbox.models.recipients import CAME_BACK, RECIPIENTS, MailRecipient
from modules.outbox.models.runs import (
    NO_BUNDLE,
    RUN_ITEMS,
    HeldReason,
    ItemState,
    Packing,
    Run,
    RunItem,
    RunState,
)
from modules.outbox.models.sent_copies import SENT_COPIES, SentCopy

__all__ = [
    "ALERTS",
    "ANSWERS",
    "ANSWER_FILES",
    "ATTACHMENTS",
    "ATTEMPTS",
    "CAME_BACK",
    "EVENTS",
    "FAILS",
    "HAND_OVERS",
    "INBOUND",
    "MAILS",
    "MAIL_SEARCH",
    "NO_BUNDLE",
    "RECIPIENTS",
    "RUN_ITEMS",
    "SENT_COPIES",
    "WAITS",
    "Alert",
    "AlertPreference",
    "Answer",
    "AnswerFile",
    "BulkRun",
    "DeliveryAttempt",
    "DraftFile",
    "EmlExport",
    "FurtherDocument",
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
    "Packing",
    "RecipientNotice",
    "RelayHook",
    "RelayProvider",
    "Run",
    "RunItem",
    "RunState",
    "SentCopy",
    "Verdict",
    "Way",
]
