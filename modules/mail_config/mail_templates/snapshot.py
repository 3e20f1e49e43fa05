"""A template as plain data: what a file of templates holds, and what the history keeps."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from modules.mail_config.models import MailTemplate


class RecipientData(TypedDict):
    """A default recipient."""

    rule: str
    field: str
    value: str


class FileData(TypedDict):
    """A file that goes with every mail, without its bytes."""

    name: str
    media_type: str
    size: int
    sha256: str


class TextData(TypedDict):
    """The text in one language."""

    subject: str
    body: str


class CustomerData(TypedDict):
    """The customer that a template is for, as another installation may find it."""

    name: str
    email: str


class Contents(TypedDict):
    """Everything that a template says."""

    kind: str
    name: str
    company: str | None
    customer: CustomerData | None
    attachment_name: str
    reply_to: str
    position: int
    keep_days: int | None
    priority: str
    delivery_receipt: bool
    read_receipt: bool
    active: bool
    shipped_key: str | None
    texts: dict[str, TextData]
    recipients: list[RecipientData]
    files: list[FileData]


class KeptContents(Contents):
    """The same in the history, where company and customer are known by their rows."""

    company_id: int | None
    owner_id: int | None
    partner_id: int | None


def contents_of(template: MailTemplate) -> Contents:
    """Return everything that a template says."""
    company, partner = template.company, template.partner
    return {
        "kind": template.kind,
        "name": template.name,
        "company": company.name if company else None,
        "customer": {"name": partner.name, "email": partner.email} if partner else None,
        "attachment_name": template.attachment_name,
        "reply_to": template.reply_to,
        "position": template.position,
        "keep_days": template.keep_days,
        "priority": str(template.priority),
        "delivery_receipt": template.delivery_receipt,
        "read_receipt": template.read_receipt,
        "active": template.active,
        "shipped_key": template.shipped_key,
        "texts": {text.language: {"subject": text.subject, "body": text.body} for text in template.texts},
        "recipients": [
            {"rule": str(row.rule), "field": str(row.field), "value": row.value}
            for row in template.recipients
        ],
        "files": [
            {"name": row.name, "media_type": row.media_type, "size": row.size, "sha256": row.sha256}
            for row in template.files
        ],
    }


def to_text(template: MailTemplate) -> str:
    """Return what the history keeps of a template."""
    kept: KeptContents = {
        **contents_of(template),
        "company_id": template.company_id,
        "owner_id": template.owner_id,
        "partner_id": template.partner_id,
    }
    return json.dumps(kept, ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> KeptContents:
    """Return what the history has kept."""
    kept: dict[str, Any] = json.loads(text)
    return kept  # type: ignore[return-value]  # written by `to_text` alone
