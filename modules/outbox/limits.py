"""Checks that every draft must pass before it is written to the database: recipients, subject, size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask import current_app

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import MailDraft
from core.partners.consent import promotional_among
from core.web.formats import file_size


class Severity(StrEnum):
    """How grave a finding is."""

    BLOCK = "block"  # the mail is not sent
    ASK = "ask"  # sent once the person says so
    NOTE = "note"  # told, and sent


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a mail before it is sent, or worth a question.

    Attributes:
        key: Names the finding; a person who accepts it accepts this one only.
        severity: Whether it keeps the mail from being sent, asks, or tells.
        text: A sentence.
        repair_url: Where it can be mended, or "".
        repair_label: What is done there, or "".
        field: The field of the form that it is about, or "".
        confirmed: True when the person has accepted it.
    """

    key: str
    severity: Severity
    text: str
    repair_url: str = ""
    repair_label: str = ""
    field: str = ""
    confirmed: bool = False


MAX_RECIPIENTS = 500  # in one mail: providers refuse more, and spam filters mind
MAX_SUBJECT_LENGTH = 500  # characters, as the column has
MAX_BODY_LENGTH = 1_000_000  # characters of HTML; mail programs cut longer ones


ENCODED = 4 / 3 * 78 / 76
"""By how much base64 with its line ends makes octets longer (RFC 2045 §6.8)."""


def attachment_limit() -> int:
    """Return how many bytes the files of one mail may have together, so that what leaves is within the setting.

    Providers count the message as it travels: 24.5 MB of files are 33.5 MB there, and refused by those who take 25.
    """
    return int(float(current_app.config["OUTBOX_ATTACHMENTS_MB"]) * 1_000_000 / ENCODED)


def check_draft(draft: MailDraft) -> None:
    """Make sure that a draft can be sent.

    Raises:
        UserError: The first of `draft_problems`.
    """
    for problem in draft_problems(draft):
        raise problem


def draft_problems(draft: MailDraft) -> list[UserError]:
    """Return everything that keeps a draft from being sent, each with the field it is about."""
    problems: list[UserError] = []
    keys = [recipient.address.key for recipient in draft.recipients]
    if not keys:
        problems.append(UserError(_l("Nobody would get this email: add a recipient."), "recipients"))
    if len(set(keys)) != len(keys):
        problems.append(UserError(_l("An address appears twice."), "recipients"))
    if len(keys) > MAX_RECIPIENTS:
        words = _l(
            "%(count)s recipients are too many for one email; %(limit)s is the limit.",
            count=len(keys),
            limit=MAX_RECIPIENTS,
        )
        problems.append(UserError(words, "recipients"))
    if not draft.subject.strip():
        words = _l("The subject is empty. Say in a few words what the email is about.")
        problems.append(UserError(words, "subject"))
    if draft.promotional:
        problems += _problems_of_promotion(draft)
    if len(draft.subject) > MAX_SUBJECT_LENGTH:
        words = _l("The subject is too long: at most %(count)s characters.", count=MAX_SUBJECT_LENGTH)
        problems.append(UserError(words, "subject"))
    if len(draft.body_html) > MAX_BODY_LENGTH:
        problems.append(UserError(_l("The text is too long."), "body"))
    # Of several documents the PDFs count as well: of one alone a server's answer says it.
    made = [draft.pdf, *(one.pdf for one in draft.further)] if draft.further else []
    size = sum(file.size for file in (*draft.attachments, *(pdf for pdf in made if pdf is not None)))
    if size > attachment_limit():
        words = _l(
            "The files total %(size)s; the limit is %(limit)s.",
            size=file_size(size),
            limit=file_size(attachment_limit()),
        )
        problems.append(UserError(words, "files"))
    return problems


def _problems_of_promotion(draft: MailDraft) -> list[UserError]:
    """Return what keeps an email that advertises from being sent: each is somebody's own, who has opted in."""
    if len(draft.recipients) > 1:
        # The link to opt out is one person's; with it others could do so in that one's place.
        words = _l(
            "A promotional email goes to one recipient alone. Take off the others, or prepare a mailing for several."
        )
        return [UserError(words, "recipients")]
    named = {recipient.partner_id for recipient in draft.recipients}
    willing = promotional_among({number for number in named if number is not None})
    return [
        UserError(
            _l(
                "%(name)s has not agreed to promotional emails.",
                name=recipient.address.display_name or recipient.address.addr_spec,
            ),
            "recipients",
        )
        for recipient in draft.recipients
        if recipient.partner_id not in willing
    ]
