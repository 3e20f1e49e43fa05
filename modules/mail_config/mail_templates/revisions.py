"""The history of a template: its revisions, their differences, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.files import FileStore
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.draft import DraftAttachment, RecipientField
from core.partners.models import Partner
from modules.mail_config.mail_templates.selection import language_name
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.mail_templates.snapshot import KeptContents, from_text
from modules.mail_config.mail_templates.titles import FIELDS, PRIORITIES, RULES
from modules.mail_config.mail_templates.validation import RecipientChoice
from modules.mail_config.models import MailTemplate, RecipientRule, TemplateRevision

SETTINGS: Mapping[str, str] = {
    "name": N_("Name"),
    "company": N_("Company"),
    "customer": N_("Customer"),
    "attachment_name": N_("File name of the PDF"),
    "reply_to": N_("Answers to"),
    "position": N_("Position"),
    "keep_days": N_("Keep for … days"),
    "priority": N_("Priority"),
    "delivery_receipt": N_("Delivery receipt"),
    "read_receipt": N_("Read receipt"),
    "active": N_("Active"),
    "recipients": N_("Recipients"),
    "files": N_("Files"),
}
"""The settings of a template that a comparison shows, each with its title."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that two versions of a template say differently.

    Attributes:
        field: As in the form: `name`, `subject_en`, `body_fr`, …
        title: Its title in the current language.
        before: What the older one says, as text; "" for nothing.
        after: What the newer one says.
    """

    field: str
    title: str
    before: str
    after: str


def history(template: MailTemplate) -> list[TemplateRevision]:
    """Return the versions of a template, the newest first."""
    return list(
        db.session.scalars(
            select(TemplateRevision)
            .where(TemplateRevision.template_id == template.id)
            .order_by(TemplateRevision.id.desc())
        )
    )


def difference(older: TemplateRevision | None, newer: TemplateRevision) -> list[Change]:
    """Return what has changed from one version to another; everything, where there is no older one."""
    before = _as_texts(from_text(older.contents)) if older is not None else {}
    after = _as_texts(from_text(newer.contents))
    return [
        Change(field, _title(field), before.get(field, ""), after.get(field, ""))
        for field in {**after, **before}
        if before.get(field, "") != after.get(field, "")
    ]


def _as_texts(kept: KeptContents) -> dict[str, str]:
    """Return a version as one text for each thing that it says."""
    says: dict[str, Any] = dict(kept)
    texts = {name: _VALUES.get(name, _plain)(says.get(name)) for name in SETTINGS}
    for language, text in kept["texts"].items():
        texts[f"subject_{language}"] = text["subject"]
        texts[f"body_{language}"] = text["body"]
    return texts


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(gettext("yes") if value else gettext("no"))
    return "" if value is None else str(value)


def _customer(value: Any) -> str:
    return str(value["name"]) if value else ""


def _priority(value: Any) -> str:
    return str(PRIORITIES[value]) if value in PRIORITIES else _plain(value)


def _recipients(value: Any) -> str:
    return "\n".join(
        gettext(
            "%(field)s: %(whom)s",
            field=FIELDS.get(row["field"], row["field"]),
            whom=f"{RULES.get(row['rule'], row['rule'])} {row['value']}".strip(),
        )
        for row in value or []
    )


def _files(value: Any) -> str:
    return "\n".join(f"{row['name']} ({row['sha256'][:8]})" for row in value or [])


_VALUES: Mapping[str, Callable[[Any], str]] = {
    "customer": _customer,
    "priority": _priority,
    "recipients": _recipients,
    "files": _files,
}


def _title(field: str) -> str:
    part, _, language = field.partition("_")
    if field not in SETTINGS and part in {"subject", "body"}:
        name = language_name(language)
        if part == "subject":
            return str(gettext("Subject (%(language)s)", language=name))
        return str(gettext("Text (%(language)s)", language=name))
    return str(gettext(SETTINGS[field]))


def missing_files(revision: TemplateRevision) -> list[str]:
    """Return the names of files that a version had and whose bytes are no longer kept."""
    store: FileStore = current_app.extensions["envoi_files"]
    return [file["name"] for file in from_text(revision.contents)["files"] if not store.touch(file["sha256"])]


def restore(template: MailTemplate, revision: TemplateRevision, by: User | None) -> MailTemplate:
    """Let a template say again what it said in a version; that is a change like any other.

    Files whose bytes are no longer kept are left out; `missing_files` tells them before.

    Raises:
        UserError: The version is of another template, its company or customer is gone, or a text no longer passes
            the check, because a field was taken out of the catalogue.
    """
    if revision.template_id != template.id:
        raise UserError(_l("This version belongs to another template."))
    kept = from_text(revision.contents)
    for column, model, sentence in (
        ("company_id", Company, _l("The company of this version does not exist any more.")),
        ("partner_id", Partner, _l("The customer of this version does not exist any more.")),
    ):
        row_id = kept.get(column)
        if row_id is not None and db.session.get(model, row_id) is None:
            raise UserError(sentence)
    lost = set(missing_files(revision))
    names = (
        "name", "company_id", "owner_id", "partner_id", "attachment_name", "reply_to", "position", "keep_days",
        "priority", "delivery_receipt", "read_receipt", "active",
    )  # fmt: skip
    says: dict[str, Any] = dict(kept)
    return save_template(
        template,
        kind=template.kind,
        values={name: says[name] for name in names if name in says},
        texts={language: (text["subject"], text["body"]) for language, text in kept["texts"].items()},
        recipients=[
            RecipientChoice(RecipientRule(row["rule"]), RecipientField(row["field"]), row["value"])
            for row in kept["recipients"]
        ],
        files=[
            DraftAttachment(file["name"], file["media_type"], file["sha256"], file["size"])
            for file in kept["files"]
            if file["name"] not in lost
        ],
        by=by,
    )
