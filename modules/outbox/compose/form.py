"""The composer as the person sees it: what it was filled with, what was typed, and what is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flask import url_for
from flask_babel import gettext

from core import clock
from core.auth.models import User
from core.config import SUPPORTED_LANGUAGES
from core.documents.models import Document
from core.errors import UserError
from core.mail.addresses import Address, InvalidAddressError, parse_address, parse_addresses
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft, Priority, RecipientField
from modules.outbox.compose.autosave import new_token
from modules.outbox.compose.recipient_chips import Chip, chips_of
from modules.outbox.compose.recipients import Proposal, recognize
from modules.outbox.compose.uploads import FormFile, Origin, pasted_keeper, picture_size, read_token, signed
from modules.outbox.html_body import show_pictures, take_pictures
from modules.outbox.limits import Finding
from modules.outbox.message import file_store
from modules.outbox.typed_times import typed_moment

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

MAX_TEXT = 2_000_000
"""Characters of a posted text that are looked at; what a mail may have is less."""

MAX_TYPED = 100_000  # characters of the subject or of a field of recipients that are read
MAX_CONFIRMED = 2000  # findings that a person accepts in one form
MAX_KEY = 300
LONGEST_AHEAD = dt.timedelta(days=366)  # a date further off is a slip, and the document will have changed
OF_TEMPLATE = ("subject", "body", "reply_to", "options")
"""What a person may have changed of that which the template fills in, and another one would replace."""

VISITED = ("recipients", "subject", "body")
CHANGEABLE = (*OF_TEMPLATE, "recipients", "files", "time", "template")
"""What a person may have changed since the composer was filled in; the page tells which."""


@dataclass(slots=True)
class ComposeForm:
    """The composer.

    Attributes:
        draft: What would be sent; its text still refers to pictures by their tokens.
        user: Who writes.
        document: What it is about, or None.
        proposal: Who the mail would go to by default.
        put_aside: Who was offered and is to get nothing this time.
        typed: By field, what stands in its input and could not be read as addresses.
        files: Files beside the text, those of the template among them.
        pdf: The generated PDF that the person was shown, or None.
        reply_to: Where answers go, as it was typed.
        send_at: When to send, in the user's zone as `datetime-local` writes it; "" for now.
        not_before: The same as a point in time, or None.
        changed: What the person has changed since the template filled it in, of `CHANGEABLE`.
        visited: The fields that the person has left, of `VISITED`: what is empty there is told.
        confirmed: Keys of findings that the person has accepted.
        token: Names this opening of the composer, so that pressing Send twice sends once.
        resumed: The token of the opening that this one goes on with, or "".
        replaces: The mail that waits and whose place this one takes, or None for a new mail.
        change: The token under which that one was opened, or "".
        proposed: Who the composer was filled with, as `field:Name <address>`.
        errors: Sentences by field; the field "" stands for the page.
        findings: What was found wrong, or worth a question.
    """

    draft: MailDraft
    user: User
    document: Document | None = None
    proposal: Proposal = field(default_factory=Proposal)
    put_aside: list[DraftRecipient] = field(default_factory=list)
    typed: dict[str, str] = field(default_factory=dict)
    files: list[FormFile] = field(default_factory=list)
    pdf: FormFile | None = None
    reply_to: str = ""
    send_at: str = ""
    not_before: dt.datetime | None = None
    changed: set[str] = field(default_factory=set)
    visited: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    token: str = field(default_factory=new_token)
    resumed: str = ""
    replaces: int | None = None
    change: str = ""
    proposed: list[str] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def error(self, field_name: str, message: object) -> None:
        """Remember what is wrong with a field."""
        sentences = self.errors.setdefault(field_name, [])
        if str(message) not in sentences:
            sentences.append(str(message))

    @property
    def fields(self) -> dict[str, list[Chip]]:
        """The recipients as chips, by the field in which they stand."""
        return {
            where.value: self._chips([r for r in self.draft.recipients if r.field is where])
            for where in RecipientField
        }

    @property
    def left_out(self) -> list[Chip]:
        """The recipients who get nothing this time, as chips: taken off here, or removed from the followers."""
        return self._chips(self.put_aside)

    @property
    def choices(self) -> list[Chip]:
        """Other addresses that the customer has, as chips."""
        there = {r.address.key for r in (*self.draft.recipients, *self.put_aside)}
        return self._chips([r for r in self.proposal.choices if r.address.key not in there])

    @property
    def priority(self) -> str:
        """How urgent the mail is called."""
        return self.draft.priority.value

    @property
    def delivery_receipt(self) -> bool:
        """True to ask the servers for a notification."""
        return self.draft.delivery_receipt

    @property
    def read_receipt(self) -> bool:
        """True to ask the reader's program for a notification."""
        return self.draft.read_receipt

    @property
    def promotional(self) -> bool:
        """True for what advertises."""
        return self.draft.promotional

    def _chips(self, recipients: list[DraftRecipient]) -> list[Chip]:
        of_customer = self.document is not None and self.document.partner_id is not None
        return chips_of(recipients, self.user, of_customer=of_customer)

    @property
    def size(self) -> int:
        """How many bytes the files have together that are known by now."""
        return sum(file.size for file in self.files) + (self.pdf.size if self.pdf else 0)

    @property
    def worth_keeping(self) -> bool:
        """True once the person has changed anything, also when all of it is as it was by now.

        What stands on the screen is kept, and nothing is compared: a change that was taken back must take
        the place of the one that was kept.
        """
        return bool(self.changed)


def as_proposed(recipient: DraftRecipient) -> str:
    """Return a recipient as the form remembers whom it was filled with."""
    return f"{recipient.field.value}:{recipient.address.key}"


def fresh_form(
    draft: MailDraft,
    user: User,
    document: Document | None = None,
    proposal: Proposal | None = None,
    *,
    origin: Origin = Origin.TEMPLATE,
) -> ComposeForm:
    """Return the form for a draft that was just made; files that are gone are told.

    Args:
        draft: The draft; its attachments become those of the form.
        user: Who writes.
        document: What it is about, or None.
        proposal: Who the mail would go to by default, or None for nobody.
        origin: Where its files come from.
    """
    form = ComposeForm(draft, user, document, proposal or Proposal())
    form.put_aside = list(form.proposal.left_out)
    form.proposed = [as_proposed(recipient) for recipient in draft.recipients]
    form.reply_to = str(draft.reply_to) if draft.reply_to else ""
    pictures: dict[str, str] = {}
    for file in draft.attachments:
        if file.content_id:
            token = signed(file, Origin.PICTURE).token
            pictures[file.content_id] = url_for("outbox.compose_file_show", token=token)
            continue
        if not file_store().touch(file.sha256):
            form.error(
                "files", gettext("“%(name)s” is gone from the store. Attach it again.", name=file.name)
            )
            continue
        form.files.append(signed(file, origin))
    draft.body_html = show_pictures(draft.body_html, pictures.get)
    return form


def read_form(
    base: MailDraft,
    posted: MultiDict[str, str],
    user: User,
    document: Document | None = None,
    proposal: Proposal | None = None,
) -> ComposeForm:
    """Read what the page posts over a draft that was just made from the document.

    Nothing is lost: whatever is wrong is told beside its field, and everything typed is kept.
    """
    form = ComposeForm(base, user, document, proposal or Proposal())
    form.token = posted.get("token", "")[:64] or form.token
    form.resumed = posted.get("resumed", "")[:64]
    form.replaces = posted.get("replaces", type=int)
    form.change = posted.get("change", "")[:64]
    base.subject = posted.get("subject", "")[:MAX_TYPED]
    base.body_html = posted.get("body", "")[:MAX_TEXT]
    base.document_revision = posted.get("revision", base.document_revision, type=int)
    if posted.get("language") in SUPPORTED_LANGUAGES:
        base.language = posted["language"]
    form.changed = set(posted.getlist("changed")) & set(CHANGEABLE)
    form.visited = set(posted.getlist("visited")) & set(VISITED)
    # What a person has accepted stays accepted only for the same finding: its key holds what it is about.
    form.confirmed = {" ".join(key.split())[:MAX_KEY] for key in posted.getlist("confirmed")[:MAX_CONFIRMED]}
    form.proposed = [text[:400] for text in posted.getlist("proposed")[:MAX_CONFIRMED]]
    _read_recipients(form, posted)
    _read_options(form, posted)
    _read_files(form, posted.getlist("file"), posted.get("pdf", ""))
    _read_time(form, posted.get("send_at", ""))
    return form


def _read_recipients(form: ComposeForm, posted: MultiDict[str, str]) -> None:
    wanted: list[tuple[Address, RecipientField]] = []
    seen: dict[str, RecipientField] = {}
    unread: dict[RecipientField, list[str]] = {where: [] for where in RecipientField}
    for where in RecipientField:
        for text in posted.getlist(where.value)[:1000]:
            try:
                _take(wanted, seen, parse_address(text), where)
            except InvalidAddressError as error:
                form.error(where.value, error.message)
                unread[where].append(text[:MAX_TYPED])
    for where in RecipientField:
        text = posted.get(f"{where.value}_typed", "")[:MAX_TYPED]
        addresses, problems = parse_addresses(text)
        repeated = [address.addr_spec for address in addresses if address.key in seen]
        for address in addresses:
            _take(wanted, seen, address, where)
        for problem in problems[:10]:
            form.error(where.value, problem.message)
        if repeated:
            names = ", ".join(repeated[:5])
            form.error(where.value, gettext("Already among the recipients: %(names)s.", names=names))
        form.typed[where.value] = "; ".join(
            [*unread[where], *(problem.text for problem in problems), *repeated]
        )
    form.draft.recipients = recognize(wanted, form.document, form.proposal, form.user)
    _read_left_out(form, posted.getlist("left_out"), set(seen))


def _take(
    wanted: list[tuple[Address, RecipientField]],
    seen: dict[str, RecipientField],
    address: Address,
    where: RecipientField,
) -> None:
    if address.key not in seen:
        seen[address.key] = where
        wanted.append((address, where))


def _read_left_out(form: ComposeForm, texts: Iterable[str], there: set[str]) -> None:
    wanted = []
    for text in list(texts)[:1000]:
        try:
            address = parse_address(text)
        except InvalidAddressError:
            continue  # not typed by a person: the page itself wrote these values
        if address.key not in there:
            there.add(address.key)
            wanted.append((address, RecipientField.TO))
    form.put_aside = recognize(wanted, form.document, form.proposal, form.user)


def _read_options(form: ComposeForm, posted: MultiDict[str, str]) -> None:
    draft = form.draft
    try:
        draft.priority = Priority(posted.get("priority", Priority.NORMAL))
    except ValueError:
        draft.priority = Priority.NORMAL
    draft.delivery_receipt = bool(posted.get("delivery_receipt"))
    draft.read_receipt = bool(posted.get("read_receipt"))
    # What a document says is necessary; a checkbox that a page of it does not have makes no advertisement of it.
    draft.promotional = form.document is None and bool(posted.get("promotional"))
    form.reply_to = posted.get("reply_to", "")[:1000].strip()
    draft.reply_to = None
    if form.reply_to:
        try:
            draft.reply_to = parse_address(form.reply_to)
        except InvalidAddressError as error:
            form.error("reply_to", error.message)


def _read_files(form: ComposeForm, tokens: Iterable[str], pdf: str) -> None:
    seen: set[str] = set()
    for token in tokens:
        if token in seen:
            continue
        seen.add(token)
        try:
            file = read_token(token)
        except UserError as error:
            form.error("files", error.message)
            continue
        if file.origin in {Origin.ADDED, Origin.TEMPLATE}:
            form.files.append(file)
    form.draft.attachments = [file.attachment for file in form.files]
    if pdf and form.document is not None:
        try:
            shown = read_token(pdf)
        except UserError:
            return  # made anew when the mail leaves
        if shown.origin is Origin.PDF and shown.document_id == form.document.id:
            form.pdf = shown


def _read_time(form: ComposeForm, text: str) -> None:
    form.send_at = text.strip()[:40]
    if not form.send_at:
        return
    try:
        moment = typed_moment(form.send_at, form.user)
    except UserError as error:
        form.error("send_at", error.message)
        return
    now = clock.now()
    if moment <= now:
        form.error("send_at", gettext("This moment has passed: choose a later one, or send now."))
    elif moment > now + LONGEST_AHEAD:
        form.error("send_at", gettext("Choose a moment within a year."))
    else:
        form.not_before = moment


def complete_draft(form: ComposeForm) -> MailDraft:
    """Return what the form would send: files, the PDF that was shown, pictures of the text.

    Raises:
        UserError: A picture of the text is gone.
    """

    def picture(token: str) -> DraftAttachment:
        file = read_token(token)
        if file.origin is not Origin.PICTURE:
            raise UserError(gettext("A picture of the text has to be put in again."), "body")
        return file.attachment

    html, pictures = take_pictures(form.draft.body_html, picture, keep=pasted_keeper(), size_of=picture_size)
    shown, document = form.pdf, form.document
    # An outdated PDF, or one in another language than the text, is not sent: without one here, it is made anew when
    # the mail leaves.
    current = (
        shown is not None
        and document is not None
        and (shown.revision, shown.language) == (document.revision, form.draft.language)
    )
    return replace(
        form.draft,
        body_html=html,
        attachments=[*pictures, *(file.attachment for file in form.files)],
        pdf=shown.attachment if shown is not None and current else None,
    )
