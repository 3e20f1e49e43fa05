"""What a message that came in is, and what it says about whom."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from core.mail.outcomes import Failure, FailureKind


class Nature(StrEnum):
    """What a message is."""

    BOUNCE = "bounce"  # a server has given up on a mail, for at least one recipient
    DELAY = "delay"  # a server still tries; nothing is lost
    DELIVERY_RECEIPT = "delivery_receipt"  # delivered, relayed or expanded (RFC 3464 §2.3.3)
    READ_RECEIPT = "read_receipt"  # what became of it in a mail program (RFC 8098)
    COMPLAINT = "complaint"  # a recipient has called it spam, or wants no more (RFC 5965)
    AUTO_REPLY = "auto_reply"  # out of office, or another answer that nobody wrote (RFC 3834)
    ORDINARY = "ordinary"  # written by a person, or sent to many


class Action(StrEnum):
    """What became of the mail for one recipient: RFC 3464 §2.3.3, RFC 8098 §3.2.6, RFC 5965."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"  # handed to a server that promises no notification
    EXPANDED = "expanded"  # handed to several, such as the members of a list
    DISPLAYED = "displayed"
    DELETED = "deleted"  # without having been displayed
    PROCESSED = "processed"  # printed, forwarded or read by a program, not seen by a person
    DECLINED = "declined"  # the reader wants no receipt to be sent
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a message says about one recipient.

    Attributes:
        recipient: The address that it is about, as the reporting server names it; "" where none is named.
        action: What became of the mail.
        permanent: True when trying the same again is of no use. None where nothing has failed. A server that gave up
            on a failure that may pass (4.x.x) has failed, and not permanently: the address may be good.
        failure: Why, where something has failed or waits.
        status: Enhanced code (RFC 3463), or "".
        reply_code: Reply code (RFC 5321) that the report quotes, or 0.
        diagnostic: The words of whoever refused, harmless to show.
        original_recipient: The address in the mail, where it was forwarded to `recipient` (ORCPT, RFC 3461), or "".
        remote_mta: The server that has refused or taken it, or "".
        retry_until: Until when a server goes on trying, as it writes it, or "".
    """

    recipient: str
    action: Action
    permanent: bool | None = None
    failure: Failure | None = None
    status: str = ""
    reply_code: int = 0
    diagnostic: str = ""
    original_recipient: str = ""
    remote_mta: str = ""
    retry_until: str = ""

    @property
    def kind(self) -> FailureKind | None:
        """The kind of failure, where there is one."""
        return self.failure.kind if self.failure is not None else None


@dataclass(frozen=True, slots=True)
class About:
    """The message that a report or an answer is about, as far as it says.

    Nothing of this is proof: whoever knows an address can write a report. A caller believes a report only when it
    comes back to a token of ours, or names a Message-ID of ours and a recipient of that very mail.

    Attributes:
        message_ids: Message-IDs with their angle brackets: of the returned header, of the report's own fields, then
            those that it answers (In-Reply-To, References). The likeliest first.
        envelope_id: ENVID of RFC 3461, or "".
        sender: From of the returned header, or "".
        recipients: To and Cc of the returned header.
        subject: Its subject, or "".
    """

    message_ids: tuple[str, ...] = ()
    envelope_id: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is made of a message.

    Attributes:
        nature: What it is.
        notices: What it says about each recipient; at least one, unless it is an answer or an ordinary message.
        about: The message that it is about.
        addressed_to: Addresses that it came to, a token of ours among them where the sender of the mail carried one.
        reporting_mta: The server that reports, or "".
        back_on: The day on which an absent person is back, where an automatic answer names one.
        complaint: What is complained of, such as `abuse` (RFC 5965 §7.3), or "".
        truncated: True when the message was larger, or about more recipients, than is read.
    """

    nature: Nature
    notices: tuple[Notice, ...] = ()
    about: About = field(default_factory=About)
    addressed_to: tuple[str, ...] = ()
    reporting_mta: str = ""
    back_on: dt.date | None = None
    complaint: str = ""
    truncated: bool = False
