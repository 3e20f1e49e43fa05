"""What the composer's page posts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from flask import current_app, request
from flask_babel import gettext
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import FileStorage

from core.config import SUPPORTED_LANGUAGES
from core.errors import UserError
from core.files import FileStore, StoreFullError
from core.mail.addresses import Address, parse_address, parse_addresses
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft, Reason, RecipientField, safe_file_name
from core.web.formats import file_size
from modules.outbox.preflight import attachment_limit

KEPT_FILES_SECONDS = 24 * 3600


@dataclass(slots=True)
class ComposeForm:
    """The composer as the person sees it: a draft, what was typed, and what is wrong.

    Attributes:
        draft: What would be sent.
        offered: Every recipient on the page, with whether it is ticked.
        more: Addresses typed beside.
        token: Names this opening of the composer, so that pressing Send twice sends once.
        kept: Signed marks of files that were uploaded already.
        errors: Sentences by field; the field "" stands for the page.
    """

    draft: MailDraft
    offered: list[tuple[DraftRecipient, bool]] = field(default_factory=list)
    more: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    kept: list[str] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def fresh(cls, draft: MailDraft) -> ComposeForm:
        """Return the form for a new draft."""
        return cls(draft, [(recipient, True) for recipient in draft.recipients])

    @classmethod
    def again(cls, draft: MailDraft, offered: list[tuple[DraftRecipient, bool]]) -> ComposeForm:
        """Return the form for a draft that was made from a mail; files that are gone are told."""
        form = cls(draft, offered)
        store: FileStore = current_app.extensions["envoi_files"]
        files, draft.attachments = draft.attachments, []
        for file in files:
            if not store.path(file.sha256).exists():
                form.error(
                    "files", gettext("“%(name)s” is gone from the store. Attach it again.", name=file.name)
                )
                continue
            draft.attachments.append(file)
            form.kept.append(_mark(file))
        return form

    def error(self, field_name: str, message: object) -> None:
        """Remember what is wrong with a field."""
        self.errors.setdefault(field_name, []).append(str(message))


def new_token() -> str:
    """Return a name for one opening of the composer."""
    return secrets.token_hex(16)


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="outbox-file")


def _mark(file: DraftAttachment) -> str:
    """Return a signed mark of a file in the store, by which the page names it when it is posted again."""
    return str(_signer().dumps([file.name, file.media_type, file.sha256, file.size]))


def read_form(base: MailDraft) -> ComposeForm:
    """Read what was posted over a draft that was just made from the document.

    Nothing is lost: whatever is wrong is told beside its field, and everything typed is kept.
    """
    posted = request.form
    form = ComposeForm(
        base, more=posted.get("more", "")[:100_000], token=posted.get("token", "")[:64] or new_token()
    )
    base.subject = posted.get("subject", "")[:100_000]
    base.body_html = posted.get("body", "")
    base.document_revision = posted.get("revision", base.document_revision, type=int)
    if posted.get("language") in SUPPORTED_LANGUAGES:
        base.language = posted["language"]
    known = {recipient.address.key: recipient for recipient in base.recipients}
    base.recipients = []
    ticked = set(posted.getlist("r"))
    for index, text in enumerate(posted.getlist("address")):
        recipient = _posted_recipient(text, posted.get(f"field_{index}", "to"), known)
        if recipient is None:
            continue
        form.offered.append((recipient, text in ticked))
        if text in ticked:
            base.recipients.append(recipient)
    _tell_who_left(form, set(posted.getlist("followed")))
    _add_typed(form)
    _add_files(form, posted.getlist("kept"), request.files.getlist("files"))
    return form


def _tell_who_left(form: ComposeForm, followed: set[str]) -> None:
    """Tell of those who followed when the composer opened, and do so no longer: they must get nothing unseen."""
    for recipient in form.draft.recipients:
        if recipient.reason is Reason.TYPED and str(recipient.address) in followed:
            words = gettext(
                "%(name)s no longer follows this document: take the tick away, or keep it and send again."
            )
            form.error("recipients", words % {"name": recipient.address.addr_spec})


def _posted_recipient(text: str, field_name: str, known: dict[str, DraftRecipient]) -> DraftRecipient | None:
    try:
        address = parse_address(text)
        where = RecipientField(field_name)
    except (UserError, ValueError):
        return None  # not typed by a person: the page itself wrote these values
    follower = known.get(address.key)
    if follower is None:
        return DraftRecipient(address, where, Reason.TYPED)
    return DraftRecipient(address, where, follower.reason, follower.reason_detail, follower.partner_id)


def _add_typed(form: ComposeForm) -> None:
    addresses, problems = parse_addresses(form.more)
    for problem in problems[:10]:
        form.error("more", problem.message)
    there = {recipient.address.key for recipient in form.draft.recipients}
    repeated = [address for address in addresses if address.key in there]
    if repeated:
        names = ", ".join(address.addr_spec for address in repeated[:5])
        form.error("more", gettext("Already among the recipients: %(names)s.", names=names))
    form.draft.recipients += [
        DraftRecipient(Address(address.addr_spec, address.display_name))
        for address in addresses
        if address.key not in there
    ]


def _add_files(form: ComposeForm, kept: Iterable[str], uploads: Iterable[FileStorage]) -> None:
    store: FileStore = current_app.extensions["envoi_files"]
    for mark in kept:
        try:
            name, media_type, sha256, size = _signer().loads(mark, max_age=KEPT_FILES_SECONDS)
        except BadSignature:
            form.error("files", gettext("A file has to be chosen again."))
            continue
        if not store.touch(sha256):  # erased meanwhile with the mail that it was taken from
            form.error("files", gettext("“%(name)s” is gone from the store. Attach it again.", name=name))
            continue
        form.kept.append(mark)
        form.draft.attachments.append(DraftAttachment(name, media_type, sha256, size))
    room = attachment_limit() - sum(file.size for file in form.draft.attachments)
    for upload in uploads:
        if not upload.filename:
            continue
        name = safe_file_name(upload.filename)
        data = upload.stream.read(room + 1)
        upload.close()  # a large one lies in a temporary file
        if len(data) > room:
            form.error(
                "files",
                gettext(
                    "“%(name)s” does not fit: the files of a mail may have %(limit)s together.",
                    name=name,
                    limit=file_size(attachment_limit()),
                ),
            )
            continue
        room -= len(data)
        try:
            sha256 = store.put(data)
        except StoreFullError:
            form.error("files", gettext("“%(name)s” could not be stored. The disk may be full.", name=name))
            continue
        attachment = DraftAttachment(
            name, (upload.mimetype or "application/octet-stream")[:120], sha256, len(data)
        )
        form.draft.attachments.append(attachment)
        form.kept.append(_mark(attachment))
