"""Templates as a file: written by one installation, read by another, trusted by none.

A file says what it would do before it does it. What it holds is read as if a stranger had written it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flask import current_app
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.files import FileMissingError, FileStore, StoreFullError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.draft import DraftAttachment, Priority, RecipientField
from modules.mail_config.mail_templates.import_rows import (
    MAX_BYTES,
    BadValueError,
    company_in,
    customer_in,
    files_in,
    flag_in,
    recipients_in,
    text_in,
    texts_in,
    whole_in,
)
from modules.mail_config.mail_templates.import_variables import carried_by, make, new_ones, variables_in
from modules.mail_config.mail_templates.service import checked_values, store_template
from modules.mail_config.mail_templates.snapshot import contents_of
from modules.mail_config.mail_templates.validation import RecipientChoice, check_template, checked_recipients
from modules.mail_config.models import MailTemplate, RecipientRule
from modules.mail_config.template_language import own_variables
from modules.mail_config.template_language.fields import template_kinds
from modules.mail_config.template_language.own_variables import Variable

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "MAX_TEMPLATES",
    "VERSION",
    "Action",
    "Entry",
    "Plan",
    "apply_plan",
    "export_templates",
    "read_export",
]

FORMAT = "envoi-mail-templates"  # tells such a file from any other JSON
VERSION = 1  # of the file's form; a newer one is refused, not guessed at
MAX_TEMPLATES = 500  # in a file; a request has to end
FIELD_NAMES = {RecipientField.TO: N_("To"), RecipientField.CC: N_("Cc"), RecipientField.BCC: N_("Bcc")}


class Action(StrEnum):
    """The action of the import for one template of a file."""

    NEW = "new"  # a template beside those that are there
    REPLACE = "replace"  # the template of the same kind and name takes the contents
    SKIP = "skip"  # nothing


@dataclass(slots=True)
class Entry:
    """A template in a file.

    Attributes:
        key: Names it within the file, for `apply_plan`.
        name: Its name.
        kind: Its document kind.
        action: What the import does: skip where it cannot be used here.
        problems: What the person should know before, one sentence each. An entry with problems may still be
            importable: then `action` is not skip, and it is imported inactive.
    """

    key: str
    name: str
    kind: str
    action: Action
    problems: list[str] = field(default_factory=list)
    replaces_id: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    recipients: list[RecipientChoice] = field(default_factory=list)
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)

    @property
    def position(self) -> int | None:
        """The place in the list that it would get; None where it cannot be used."""
        return self.values.get("position")

    @property
    def fixed(self) -> list[tuple[str, str]]:
        """The addresses that every mail would go to, each with the name of its field: To, Cc or Bcc."""
        return [
            (gettext(FIELD_NAMES[row.field]), row.value)
            for row in self.recipients
            if row.rule is RecipientRule.FIXED
        ]


@dataclass(slots=True)
class Plan:
    """The plan of an import: each template of the file, and the action for it.

    Attributes:
        entries: Its templates, in its order.
    """

    entries: list[Entry] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------------- export


def export_templates(templates: Iterable[MailTemplate]) -> bytes:
    """Return templates as one file, with their files.

    Raises:
        UserError: The bytes of a file are gone from the store.
    """
    store: FileStore = current_app.extensions["envoi_files"]
    rows: list[dict[str, Any]] = []
    for template in templates:
        row: dict[str, Any] = dict(contents_of(template))
        # It names a template of this installation; another has its own.
        del row["shipped_key"]
        try:
            row["files"] = [
                # Inside the file, so that one file is all that somebody has to send to somebody.
                {**file, "data": base64.b64encode(store.get(file["sha256"])).decode()}
                for file in row["files"]
            ]
        except FileMissingError as error:
            raise UserError(
                _l("A file of the template “%(name)s” is gone from the store.", name=template.name)
            ) from error
        if variables := carried_by(template):
            row["variables"] = variables
        rows.append(row)
    # Sorted and indented: people keep such files under version control, and read what has changed.
    written = {"format": FORMAT, "version": VERSION, "templates": rows}
    return (json.dumps(written, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


# --------------------------------------------------------------------------------------------------------- read


def read_export(data: bytes) -> Plan:
    """Return what the import of a file would do, without doing it.

    A template replaces one of the same kind and name that is for the same company and the same customer.

    Raises:
        UserError: The file is too large, or not a file of templates that this version can read.
    """
    if len(data) > MAX_BYTES:
        raise UserError(_l("The file is larger than %(most)s MB.", most=MAX_BYTES // 10**6), "file")
    try:
        written = json.loads(data)  # what a row holds that cannot be stored is told of that row
    except (ValueError, RecursionError) as error:
        raise UserError(_l("This is not a file of email templates."), "file") from error
    if not isinstance(written, dict) or written.get("format") != FORMAT:
        raise UserError(_l("This is not a file of email templates."), "file")
    if written.get("version") != VERSION:
        raise UserError(_l("This file was written by another version and cannot be read."), "file")
    rows = written.get("templates")
    if not isinstance(rows, list):
        raise UserError(_l("This is not a file of email templates."), "file")
    if len(rows) > MAX_TEMPLATES:
        raise UserError(_l("The file has more than %(most)s templates.", most=MAX_TEMPLATES), "file")
    plan, taken = Plan(), set()
    for number, row in enumerate(rows):
        entry = _entry(str(number), row)
        # The second would undo the first, and nobody could tell from the plan which of them counts.
        if entry.replaces_id is not None and entry.replaces_id in taken:
            entry.action = Action.SKIP
            entry.problems.append(gettext("The file has this template twice."))
        if entry.replaces_id is not None:
            taken.add(entry.replaces_id)
        plan.entries.append(entry)
    return plan


def _entry(key: str, row: Any) -> Entry:
    """Read one template of a file; what is wrong with it stands in its `problems`."""
    entry = Entry(key, "?", "?", Action.SKIP)
    try:
        if not isinstance(row, dict):
            raise BadValueError(gettext("This is no template."))
        entry.name = text_in(row, "name", 120)
        entry.kind = text_in(row, "kind", 60)
        if not entry.name.strip():
            raise BadValueError(gettext("It has no name."))
        if entry.kind not in template_kinds():
            raise BadValueError(gettext("There is no kind of document “%(kind)s” here.", kind=entry.kind))
        _read_values(entry, row)
        entry.texts = texts_in(row)
        entry.recipients = recipients_in(row)
        entry.files = files_in(row)
        brought = variables_in(entry.kind, row)
    except BadValueError as error:
        entry.problems.append(str(error))
        return entry
    # By the same checks as the form: a file may come from an installation with other fields.
    entry.variables, other = new_ones(entry.kind, brought)
    found = check_template(
        entry.kind,
        entry.texts,
        entry.values["attachment_name"],
        company_id=company_in(row)[1] if row.get("company") is not None else None,
        variables=[*own_variables.stored(entry.kind), *entry.variables],
    )
    if found:
        entry.problems += [
            f"{name}: {sentence}" for name, sentences in found.items() for sentence in sentences
        ]
    _check_values(entry)
    if entry.problems:
        return entry
    entry.action = Action.NEW
    if _find_owners(entry, row):
        entry.replaces_id = _existing(entry)
        entry.action = Action.NEW if entry.replaces_id is None else Action.REPLACE
    entry.problems += [
        gettext("The variable “%(name)s” says something else here, and stays as it is.", name=name)
        for name in other
    ]
    return entry


def _check_values(entry: Entry) -> None:
    """Make values and recipients what is stored, so that nothing is refused only when they are."""
    try:
        entry.values = checked_values(entry.values, is_new=True)
    except UserError as error:
        title = gettext("Answers to") if error.field == "reply_to" else error.field
        entry.problems.append(f"{title}: {error.message}")
    try:
        entry.recipients = checked_recipients(entry.recipients)
    except UserError as error:
        entry.problems.append(f"{gettext('Recipients')}: {error.message}")


def _read_values(entry: Entry, row: Mapping[str, Any]) -> None:
    """Read the settings of a template; raises `BadValueError`."""
    try:
        priority = Priority(text_in(row, "priority", 20) or Priority.NORMAL)
    except ValueError as error:
        raise BadValueError(gettext("“%(name)s” has a value that is not known.", name="priority")) from error
    entry.values = {
        "name": entry.name.strip(),
        "attachment_name": text_in(row, "attachment_name", 200),
        "reply_to": text_in(row, "reply_to", 254),
        "position": whole_in(row, "position", 10, 9999),
        "keep_days": whole_in(row, "keep_days", None, 36_500),
        "priority": priority,
        "delivery_receipt": flag_in(row, "delivery_receipt", usual=False),
        "read_receipt": flag_in(row, "read_receipt", usual=False),
        "active": flag_in(row, "active", usual=True),
        "company_id": None,
        "partner_id": None,
    }


def _find_owners(entry: Entry, row: Mapping[str, Any]) -> bool:
    """Find the company and the customer that a template is for, and return True when both are known.

    Where one is not, the template may be imported all the same, but inactive: what was written for one customer
    must not be offered for all.
    """
    company, customer = row.get("company"), row.get("customer")
    known = True
    if company is not None:
        name, entry.values["company_id"] = company_in(row)
        if entry.values["company_id"] is None:
            known = False
            entry.problems.append(
                gettext("There is no company “%(name)s” here: it is imported inactive, for all.", name=name)
            )
    if customer is not None:
        name, entry.values["partner_id"] = customer_in(customer)
        if entry.values["partner_id"] is None:
            known = False
            entry.problems.append(
                gettext("There is no customer “%(name)s” here: it is imported inactive, for all.", name=name)
            )
    if not known:
        entry.values["active"] = False
    return known


def _existing(entry: Entry) -> int | None:
    """Return the id of the template that an entry would replace, or None."""
    same = {column: entry.values[column] for column in ("company_id", "partner_id")}
    return db.session.scalar(
        select(MailTemplate.id)
        .where(
            MailTemplate.kind == entry.kind,
            MailTemplate.name == entry.values["name"],
            MailTemplate.owner_id.is_(None),  # what somebody keeps for themselves is never replaced
            *(
                getattr(MailTemplate, column).is_(None)
                if value is None
                else getattr(MailTemplate, column) == value
                for column, value in same.items()
            ),
        )
        .order_by(MailTemplate.id)
        .limit(1)
    )


# -------------------------------------------------------------------------------------------------------- apply


def apply_plan(plan: Plan, chosen: Collection[str], by: User | None) -> list[MailTemplate]:
    """Import the chosen entries of a plan: all of them, or none.

    Args:
        plan: What `read_export` has made of the file.
        chosen: Keys of the entries; those that cannot be used are left out.
        by: Who imports.

    Returns:
        The templates, in the order of the file.

    Raises:
        UserError: One of them cannot be saved, or its files cannot be stored.
    """
    entries = [
        (entry, _stored_files(entry))
        for entry in plan.entries
        if entry.key in chosen and entry.action is not Action.SKIP
    ]
    with transaction() as session:
        saved = []
        for entry, files in entries:
            template = session.get(MailTemplate, entry.replaces_id) if entry.replaces_id else None
            try:
                make(entry.kind, entry.variables)
                saved.append(
                    store_template(
                        template,
                        kind=entry.kind,
                        values=entry.values,
                        texts=entry.texts,
                        recipients=entry.recipients,
                        files=files,
                        by=by,
                    )
                )
            except UserError as error:
                raise UserError(f"{entry.name}: {error.message}") from error
        return saved


def _stored_files(entry: Entry) -> list[DraftAttachment]:
    """Put the files of an entry into the store; raises `UserError` when they cannot be."""
    store: FileStore = current_app.extensions["envoi_files"]
    try:
        return [
            DraftAttachment(name, media_type, store.put(data), len(data))
            for name, media_type, data in entry.files
        ]
    except StoreFullError as error:
        raise UserError(
            _l(
                "The files of “%(name)s” could not be stored. The disk may be full. Nothing was imported.",
                name=entry.name,
            )
        ) from error
