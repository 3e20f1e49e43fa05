"""The form of a template: filled from the database, or from what was typed and not saved yet."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flask import request
from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, EmailField, Field, SelectField, StringField
from wtforms.validators import NumberRange, Optional, ValidationError

from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import InvalidAddressError, normalize
from core.mail.draft import DraftAttachment, Priority, RecipientField
from core.pickers import CompanyField, PartnerField
from core.web.formats import file_size
from core.web.forms import WholeNumberField, at_most, required
from modules.mail_config.editor.from_editor import from_editor
from modules.mail_config.editor.older_formulas import read_older
from modules.mail_config.editor.shown_problems import ShownProblem, located
from modules.mail_config.mail_templates.selection import language_name
from modules.mail_config.mail_templates.service import MAX_FILE_BYTES, MAX_FILES
from modules.mail_config.mail_templates.titles import PRIORITIES, RULES_WITH_A_VALUE
from modules.mail_config.mail_templates.uploads import TypedFile, read_file_token, store_upload
from modules.mail_config.mail_templates.validation import (
    MAX_RECIPIENTS,
    RecipientChoice,
    check_in_detail,
    checked_recipients,
)
from modules.mail_config.models import (
    MailTemplate,
    MailTemplateText,
    RecipientRule,
    TemplateFile,
    TemplateRecipient,
    TemplateRevision,
)
from modules.mail_config.template_language.tags import normalize as normalize_formulas

_BETWEEN = re.compile(
    r"(</(?:p|div|h1|ul|ol|li|blockquote|pre)>|[%#]\}(?=\s*<(?:p|div|h1|ul|ol|blockquote|pre)>))\s*(?=\S)"
)


class TemplateForm(FlaskForm):  # type: ignore[misc]
    """The fields of a template beside its texts, recipients and files."""

    name = StringField(_l("Name"), [*required(), at_most(120)])
    company_id = CompanyField(_l("Company"))
    owner_id = SelectField(
        _l("Saved by"),
        coerce=int,
        description=_l("Offered to them alone, or to the company, and used only where it is chosen"),
    )
    partner_id = PartnerField(_l("Customer"), of_company=False)
    position = WholeNumberField(_l("Position"), [Optional(), NumberRange(0, 9999)])
    active = BooleanField(_l("Active"), default=True)
    attachment_name = StringField(_l("File name of the PDF"), [at_most(200)])
    reply_to = EmailField(_l("Answers to"), [at_most(254)])
    priority = SelectField(_l("Priority"))
    delivery_receipt = BooleanField(_l("Ask for a delivery receipt"))
    read_receipt = BooleanField(_l("Ask for a read receipt"))
    keep_days = WholeNumberField(_l("Keep for … days"), [Optional(), NumberRange(0, 36_500)])

    def validate_reply_to(self, field: Field) -> None:
        """Answers go to one address."""
        if field.data:
            try:
                normalize(field.data)
            except InvalidAddressError as error:
                raise ValidationError(str(error)) from error


@dataclass(slots=True)
class TypedText:
    """Subject and text in one language, as they stand on the page.

    Attributes:
        language: Its code.
        subject: With formulas.
        body: The source.
        as_source: True when the person edits the source.
    """

    language: str
    subject: str = ""
    body: str = ""
    as_source: bool = False

    @property
    def name(self) -> str:
        """The language, in the language of the page."""
        return language_name(self.language)

    @property
    def empty(self) -> bool:
        """True when nothing is said in this language."""
        return not self.subject.strip() and not self.body.strip()


@dataclass(slots=True)
class TypedRecipient:
    """A default recipient as it stands on the page, with what is wrong with it."""

    rule: RecipientRule = RecipientRule.FOLLOWERS
    field: RecipientField = RecipientField.TO
    value: str = ""
    error: str = ""

    @property
    def takes_value(self) -> bool:
        """True when the rule needs a function or an address."""
        return self.rule in RULES_WITH_A_VALUE


@dataclass(slots=True)
class TypedTemplate:
    """A template as it stands on the page.

    Attributes:
        kind: Document kind.
        row: The stored one, or None for a new one.
        form: Name, scope and options.
        texts: One for each language that Envoi speaks, in their order.
        recipients: Default recipients.
        files: Files that go with every mail.
        seen_revision: The revision that the person had before them.
        seen_change: The id of the newest entry of the history that they have seen; 0 for none.
        problems: What is wrong, by field: `subject_en`, `body_fr`, `attachment_name`, `files`, `recipients`.
    """

    kind: str
    row: MailTemplate | None
    form: TemplateForm
    texts: list[TypedText]
    recipients: list[TypedRecipient] = field(default_factory=list)
    files: list[TypedFile] = field(default_factory=list)
    seen_revision: int = 0
    seen_change: int = 0
    problems: dict[str, list[ShownProblem]] = field(default_factory=dict)

    @classmethod
    def stored(cls, row: MailTemplate | None, kind: str) -> TypedTemplate:
        """Return what is stored, or the beginning of a new one."""
        names = [name for name in TemplateForm()._fields if name != "csrf_token"]
        form = TemplateForm(formdata=None, data={name: getattr(row, name) for name in names} if row else None)
        if row is None:
            form.priority.data = Priority.NORMAL.value
        else:
            form.priority.data = row.priority.value
            form.owner_id.data = row.owner_id or 0
        texts = []
        for language in SUPPORTED_LANGUAGES:
            text = next((text for text in row.texts if text.language == language), None) if row else None
            texts.append(TypedText(language, text.subject, text.body) if text else TypedText(language))
        return cls(
            kind,
            row,
            _with_choices(form, row),
            texts,
            [TypedRecipient(r.rule, r.field, r.value) for r in row.recipients] if row else [],
            [TypedFile(f.name, f.media_type, f.size, f.sha256) for f in row.files] if row else [],
            row.revision if row else 0,
            newest_change(row),
        )

    @classmethod
    def posted(
        cls, row: MailTemplate | None, kind: str, kept: MultiDict[str, str] | None = None
    ) -> TypedTemplate:
        """Return what the page has posted, or posted once and is kept; what is wrong stands in `problems`."""
        sent = request.form if kept is None else kept
        present = {"company_id": row.company_id, "partner_id": row.partner_id} if row else None
        typed = cls(
            kind,
            row,
            _with_choices(TemplateForm(sent, data=present), row),
            [_read_text(sent, language) for language in SUPPORTED_LANGUAGES],
            _read_recipients(sent),
            seen_revision=sent.get("seen_revision", 0, type=int),
            seen_change=sent.get("seen_change", 0, type=int),
        )
        for text in typed.texts:
            stored = (
                next((known.body for known in row.texts if known.language == text.language), "")
                if row
                else ""
            )
            if one_line_each(stored) == one_line_each(text.body):
                text.body = stored  # it was shown with a line for each paragraph, and is the same
        typed._read_formulas()
        for token in sent.getlist("file")[:MAX_FILES]:
            typed._take_file(partial(read_file_token, token))
        for upload in request.files.getlist("files")[:MAX_FILES]:
            if upload.filename:
                typed._take_file(partial(store_upload, upload))
        if sum(file.size for file in typed.files) > MAX_FILE_BYTES:
            typed.tell(
                "files", gettext("Together the files may have %(limit)s.", limit=file_size(MAX_FILE_BYTES))
            )
        return typed

    def _read_formulas(self) -> None:
        """Read what begins with `formule=`, as an older system writes it, or say where it cannot be read."""
        for text in self.texts:
            text.subject = read_older(self.kind, f"subject_{text.language}", text.subject, self._show)
            text.body = read_older(self.kind, f"body_{text.language}", text.body, self._show)
        field = self.form.attachment_name
        field.data = read_older(self.kind, field.name, field.data or "", self._show)

    def _take_file(self, read: Callable[[], TypedFile]) -> None:
        try:
            file = read()
        except UserError as error:
            self.tell("files", str(error.message))
        else:
            if file not in self.files:
                self.files.append(file)

    def tell(self, name: str, message: str) -> None:
        """Say that something is wrong with a field."""
        self._show(name, ShownProblem(message))

    def _show(self, name: str, problem: ShownProblem) -> None:
        self.problems.setdefault(name, []).append(problem)

    def text(self, language: str) -> TypedText:
        """Return the text in a language; the first where there is none."""
        return next((text for text in self.texts if text.language == language), self.texts[0])

    @property
    def sources(self) -> dict[str, tuple[str, str]]:
        """Subject and body by language; languages in which nothing is said are left out."""
        return {text.language: (text.subject.strip(), text.body) for text in self.texts if not text.empty}

    @property
    def values(self) -> dict[str, Any]:
        """The columns of the template."""
        form = self.form
        # One without a position stays where it is, a new one goes behind the others.
        position = {} if form.position.data is None else {"position": form.position.data}
        return {
            **position,
            "keep_days": form.keep_days.data,
            "active": form.active.data,
            "name": (form.name.data or "").strip(),
            "attachment_name": (form.attachment_name.data or "").strip(),
            "reply_to": (form.reply_to.data or "").strip(),
            "company_id": form.company_id.data,
            "owner_id": form.owner_id.data or None,
            "partner_id": form.partner_id.data,
            "priority": Priority(form.priority.data or Priority.NORMAL),
            "delivery_receipt": bool(form.delivery_receipt.data),
            "read_receipt": bool(form.read_receipt.data),
        }

    @property
    def chosen_recipients(self) -> list[RecipientChoice]:
        """The default recipients."""
        return [RecipientChoice(row.rule, row.field, row.value) for row in self.recipients]

    @property
    def attachments(self) -> list[DraftAttachment]:
        """The files."""
        return [DraftAttachment(file.name, file.media_type, file.sha256, file.size) for file in self.files]

    def _file_rows(self) -> list[TemplateFile]:
        return [
            TemplateFile(
                position=position,
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                sha256=file.sha256,
            )
            for position, file in enumerate(self.files)
        ]

    def as_template(self) -> MailTemplate:
        """Return a template that is in no session, to see what comes of it before it is saved."""
        values = self.values | {"priority": self._priority(), "position": self.form.position.data or 0}
        template = MailTemplate(kind=self.kind, **values)
        template.texts = [
            MailTemplateText(
                language=language,
                subject=normalize_formulas(subject, is_html=False),
                body=normalize_formulas(body, is_html=True),
            )
            for language, (subject, body) in self.sources.items()
        ]
        template.recipients = [
            TemplateRecipient(position=position, rule=row.rule, field=row.field, value=row.value)
            for position, row in enumerate(self.recipients)
            if not _wrong_with(row)
        ]
        template.files = self._file_rows()
        return template

    def _priority(self) -> Priority:
        known = {key.value for key in Priority}
        return Priority(self.form.priority.data) if self.form.priority.data in known else Priority.NORMAL

    def check(self) -> None:
        """Find what is wrong with texts, file name and recipients, and note where."""
        if not self.sources:
            self.tell("subject_en", gettext("A template needs a text in at least one language."))
        name = (self.form.attachment_name.data or "").strip()
        places = {"attachment_name": name}
        for language, (subject, body) in self.sources.items():
            places |= {f"subject_{language}": subject, f"body_{language}": body}
        for problem in check_in_detail(self.kind, self.sources, name, company_id=self.form.company_id.data):
            self._show(problem.field, located(problem, places.get(problem.field, "")))
        for row in self.recipients:
            row.error = _wrong_with(row)
        if any(row.error for row in self.recipients):
            self.problems.setdefault("recipients", [])

    def wrong_in(self, language: str) -> set[str]:
        """Return the formulas of a text that cannot be used."""
        return {problem.marked for problem in self.problems.get(f"body_{language}", []) if problem.marked}

    @property
    def wrong(self) -> bool:
        """True when something keeps it from being saved."""
        return bool(self.problems) or any(entry.errors for entry in self.form)


def newest_change(row: MailTemplate | None) -> int:
    """Return the id of the newest entry of a template's history; 0 for none."""
    if row is None or row.id is None:
        return 0
    query = select(func.max(TemplateRevision.id)).where(TemplateRevision.template_id == row.id)
    return db.session.scalar(query) or 0


def _with_choices(form: TemplateForm, row: MailTemplate | None) -> TemplateForm:
    form.priority.choices = [(key.value, str(title)) for key, title in PRIORITIES.items()]
    keeper = row.owner if row is not None else None
    form.owner_id.choices = [
        (0, gettext("nobody: it applies by the rules")),
        *([(keeper.id, keeper.name)] if keeper is not None else []),
    ]
    if form.owner_id.data is None:
        form.owner_id.data = keeper.id if keeper is not None else 0
    return form


def one_line_each(source: str) -> str:
    """Return the source of a text with each of its paragraphs, and each condition around them, on a line."""
    return _BETWEEN.sub(r"\1\n", source.strip())


def _read_text(sent: MultiDict[str, str], language: str) -> TypedText:
    body = sent.get(f"body_{language}", "")
    as_source = sent.get(f"mode_{language}") != "rich"
    if not as_source and sent.get(f"touched_{language}") == "1":
        body = from_editor(sent.get(f"rich_{language}", ""))
    return TypedText(language, sent.get(f"subject_{language}", ""), body.replace("\r\n", "\n"), as_source)


def _read_recipients(sent: MultiDict[str, str]) -> list[TypedRecipient]:
    rules, fields = {key.value for key in RecipientRule}, {key.value for key in RecipientField}
    rows = zip(
        sent.getlist("recipient_rule"),
        sent.getlist("recipient_field"),
        sent.getlist("recipient_value"),
        strict=False,
    )
    found = []
    for rule, where, value in list(rows)[:MAX_RECIPIENTS]:
        if rule in rules and where in fields:
            row = TypedRecipient(RecipientRule(rule), RecipientField(where), value.strip())
            found.append(row)
    return found


def _wrong_with(row: TypedRecipient) -> str:
    try:
        checked_recipients([RecipientChoice(row.rule, row.field, row.value)])
    except UserError as error:
        return str(error.message)
    return ""
