"""One mail: what was sent, to whom, what became of it and why."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from flask import Response, abort, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.files import FileMissingError
from core.i18n import format_datetime
from core.mail.advice import ADVICE, Advice
from core.mail.outcomes import EXPLANATIONS, RecipientState, printable
from core.partners.models import Partner
from core.partners.reach import reachable
from core.web.formats import harmless
from core.web.security import for_viewer, foreign_html
from modules.outbox import changes, queries
from modules.outbox.about import documents_of
from modules.outbox.access import list_come_from, mail_or_404
from modules.outbox.badges import badge_of
from modules.outbox.blueprint import blueprint
from modules.outbox.compose.draft import can_send, may_copy
from modules.outbox.compose.recipients import reason_text
from modules.outbox.conversation import conversation
from modules.outbox.document_check import document_problem
from modules.outbox.html_body import PICTURE_TYPES, show_pictures
from modules.outbox.html_body import page as html_page
from modules.outbox.mail_page.came_back import Line, came_back
from modules.outbox.mail_page.failure_text import Reason, actor_title, reason_of
from modules.outbox.mail_page.repairs import Repairs, repairs_of
from modules.outbox.mail_page.route_text import route_text
from modules.outbox.mail_page.timeline import story_of
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.message import build_message, file_store
from modules.outbox.models import MailAttachment, MailEvent, MailRecipient, OutgoingMail
from modules.outbox.private_addresses import address_of, is_address_hash
from modules.outbox.sent_copies.service import copy_of
from modules.outbox.service import editor_of
from modules.outbox.states import FAILED, RECIPIENT_TITLES, RECIPIENT_TONES, MailState
from modules.outbox.typed_times import as_typed

TABS = ("recipients", "message", "answers", "reason", "timeline")
MOST_LOOKED_UP = 5
"""Wrong addresses that are looked for in other mails, for one page."""
MAX_SHOWN_PICTURES = 8 * 1024 * 1024
"""Bytes of pictures that one page shows; the others are in the exact message."""
SHOWN_TEXT_LENGTH = 200_000
"""A browser shows no more of the plain text at once; the rest is in the exact message."""


@blueprint.app_template_filter()
def addressee(addr_spec: object) -> str:
    """Return an address of the outbox as lists show it; a hash stands for somebody whose address is not kept."""
    return (
        str(gettext("walk-in, address not kept")) if is_address_hash(str(addr_spec)) else harmless(addr_spec)
    )


@blueprint.app_template_global()
def address_to_correct(recipient: MailRecipient) -> str:
    """Return the address of a recipient for whoever may correct it, that of a walk-in while it is still there."""
    if is_address_hash(recipient.addr_spec) and recipient.encrypted_address is None:
        return addressee(recipient.addr_spec)
    return harmless(address_of(recipient).addr_spec)


@blueprint.app_template_filter()
def exact(value: dt.datetime) -> str:
    """Return a time to the second, by locale and the user's clock."""
    return str(format_datetime(value, "medium"))


@blueprint.app_template_filter()
def harmless_lines(text: object) -> str:
    """Return a text of others with its lines, without control characters and turned directions."""
    return printable(str(text), SHOWN_TEXT_LENGTH)


@dataclass(frozen=True, slots=True)
class TypedAddress:
    """A correction that was refused: what was typed stays, with what is wrong."""

    recipient_id: int
    text: str
    error: str


@dataclass(frozen=True, slots=True)
class SharedReason:
    """Why some recipients have not got the mail, for all of them the same, and what to do about it."""

    recipients: list[MailRecipient]
    reason: Reason
    repairs: Repairs
    came_back: str = ""
    """That a server had accepted it before, and for how long; "" where none had."""


@blueprint.get("/mails/<int:mail_id>")
@requires("outbox.mail.read")
def mail(mail_id: int) -> ResponseReturnValue:
    """Show one mail: recipients, message, reason of the failure, timeline."""
    row = mail_or_404(mail_id)
    if request.headers.get("X-Quiet") and request.args.get("v") == version_of(row):
        return "", 204
    return show(row)


def show(row: OutgoingMail, *, typed: TypedAddress | None = None) -> str:
    """Return the page of a mail."""
    user = signed_in_user()
    default = "reason" if row.state in FAILED and row.failure_kind else "recipients"
    tab = "recipients" if typed else request.args.get("tab", default)
    turns = conversation(row, user)
    if tab not in TABS or (tab == "reason" and row.failure_kind is None) or (tab == "answers" and not turns):
        tab = default
    may_resend = queries.mail_for(user, row.id, "outbox.mail.resend") is not None
    may_duplicate = may_copy(row, user)
    people = queries.visible_recipients([row], user)[row.id]
    outdated = document_problem(row) is not None
    sentence = waits_for(row, outdated=outdated)
    return render_template(
        "outbox/mail_page/mail.html",
        mail=row,
        topics=[changes.mail(row.id)],
        tab=tab,
        come_from=list_come_from(),
        turns=turns,
        people=people,
        # Whoever does not see all recipients does not read them in the words of servers either.
        whole=len(people) == len(row.recipients),
        version=version_of(row),
        badge=badge_of(row),
        sentence=sentence,
        route=route_text(row),
        copy=copy_of(row),
        advice=ADVICE,
        advices=frozenset(Advice),
        looks_again=queries.looks_again(
            waiting=bool(sentence), moving=row.state in {MailState.QUEUED, MailState.SENDING}
        ),
        erasure=_last(row, "erase") if row.contents_erased_at else None,
        dismissal=_last(row, "dismiss") if row.dismissed_at else None,
        choices=queries.choices_for(row, outdated=outdated),
        documents=documents_of(row, user),
        write_anew=_write_anew(row, user) if may_duplicate and outdated else "",
        may_resend=may_resend,
        may_duplicate=may_duplicate,
        editor=editor_of(row),
        timezone=user.timezone,
        planned=as_typed(row.not_before, user),
        inspect=user.can("outbox.mail.inspect"),
        recipient_titles=RECIPIENT_TITLES,
        recipient_tones=RECIPIENT_TONES,
        reason_text=reason_text,
        explanations=EXPLANATIONS,
        actor_title=actor_title,
        **_of_the_tab(row, tab, user, people, typed, may_resend=may_resend, may_duplicate=may_duplicate),
    )


def _write_anew(row: OutgoingMail, user: User) -> str:
    """Return where a new mail about the documents of this one is written as they are now; "" where it cannot be."""
    documents = documents_of(row)
    if len(documents) <= row.further_count or not all(can_send(document, user) for document in documents):
        return ""
    if row.further_count:
        return url_for("outbox.compose_again", mail_id=row.id, anew=1)
    return url_for("outbox.compose", document_id=row.document_id)


def _of_the_tab(
    row: OutgoingMail,
    tab: str,
    user: User,
    people: list[MailRecipient],
    typed: TypedAddress | None,
    *,
    may_resend: bool,
    may_duplicate: bool,
) -> dict[str, object]:
    """Return what one tab needs beside; the others cost nothing."""
    if tab == "timeline":
        return {"story": story_of(row)}
    if tab == "answers":
        return {}
    if tab == "message":
        return {"bcc": [recipient for recipient in people if recipient.field == "bcc"]}
    if tab == "recipients":
        return recipients_context(row, typed=typed, opened=request.args.get("open", type=int)) | {
            "typed": typed
        }
    came = came_back(row)
    shared: dict[Reason, list[MailRecipient]] = {}
    for recipient in people:
        its_own = reason_of(recipient)
        if its_own is not None and recipient.state is not RecipientState.ACCEPTED:
            shared.setdefault(its_own, []).append(recipient)
    whole = reason_of(row)
    if whole is not None and whole.kind not in {reason.kind for reason in shared}:
        shared = {whole: [], **shared}  # what keeps the mail as a whole, for example its server
    return {
        # Whoever waits for it need not wait for the repair.
        "by_hand": row.contents_erased_at is None and row.state in FAILED | {MailState.DEFERRED},
        "reasons": [
            SharedReason(
                recipients,
                reason,
                repairs_of(
                    row,
                    reason,
                    user,
                    recipient=recipients[0] if recipients else None,
                    may_resend=may_resend,
                    may_duplicate=may_duplicate,
                ),
                _bounced(recipients, came),
            )
            for reason, recipients in shared.items()
        ],
    }


def _bounced(recipients: list[MailRecipient], came: dict[int, list[Line]]) -> str:
    for recipient in recipients:
        if recipient.state is RecipientState.BOUNCED and recipient.id in came:
            return next((line.text for line in reversed(came[recipient.id]) if line.tone), "")
    return ""


def recipients_context(
    row: OutgoingMail, *, typed: TypedAddress | None = None, opened: int | None = None
) -> dict[str, object]:
    """Return what the forms of the recipients need: the contacts they belong to, and what was typed."""
    user = signed_in_user()
    correctable = queries.correctable_recipients(row)
    ids = {recipient.partner_id for recipient in row.recipients if recipient.partner_id}
    partners = db.session.scalars(select(Partner).where(Partner.id.in_(ids), reachable(user)))
    return {
        "partners": {partner.id: partner for partner in partners} if ids else {},
        "correctable": {recipient.id for recipient in correctable},
        "others": {
            recipient.id: len({other.mail_id for other in queries.others_at(recipient.addr_spec, row, user)})
            for recipient in correctable[:MOST_LOOKED_UP]
            if recipient.failure_kind is not None and not row.private
        },
        "unserved": sum(r.state is not RecipientState.ACCEPTED for r in row.recipients),
        "came_back": came_back(row),
        "typed": typed,
        "opened": typed.recipient_id if typed else opened,
    }


def version_of(row: OutgoingMail) -> str:
    """Return a text that changes whenever the page of a mail would."""
    last = db.session.scalar(select(func.max(MailEvent.id)).where(MailEvent.mail_id == row.id))
    parts = (
        row.state.value,
        row.attempts,
        row.accepted_count,
        row.next_attempt_at.timestamp(),
        row.edit_token,
        row.edit_until is None,
        last,
        waits_for(row, outdated=document_problem(row) is not None),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _last(row: OutgoingMail, verb: str) -> MailEvent | None:
    """Return the record of who has last done something to a mail and why, where there is one."""
    query = select(MailEvent).where(MailEvent.mail_id == row.id, MailEvent.verb == verb)
    return db.session.scalars(query.order_by(MailEvent.id.desc()).limit(1)).first()


# -- the contents --------------------------------------------------------------------------------------


def _refuse_erased(row: OutgoingMail) -> None:
    if row.contents_erased_at is not None:
        raise UserError(
            gettext("Text and files of this email were erased; its line and its hashes are kept.")
        )


def _exact_message(row: OutgoingMail) -> bytes:
    """Return the exact message.

    Raises:
        UserError: It was erased, was not made yet, or a file of it is gone.
    """
    _refuse_erased(row)
    if not row.sender_address:
        raise UserError(gettext("The message is made at the first attempt; it does not exist yet."))
    try:
        return build_message(row)
    except FileMissingError as error:
        raise UserError(gettext("A file of this email is gone from the store.")) from error


@blueprint.get("/mails/<int:mail_id>/html")
@requires("outbox.mail.read")
def mail_html(mail_id: int) -> ResponseReturnValue:
    """Return the HTML of a mail for its sandboxed frame."""
    row = mail_or_404(mail_id)
    return foreign_html(html_page(show_pictures(row.body_html, pictures_of(row)), row.language))


def pictures_of(row: OutgoingMail) -> Callable[[str], str | None]:
    """Return what gives the picture of a Content-ID as a `data:` address.

    The frame that shows it has an origin of its own, so its browser would ask for a picture without our cookie.
    """
    files = {file.content_id: file for file in row.attachments if file.content_id and file.sha256}
    room = MAX_SHOWN_PICTURES

    def address_of(content_id: str) -> str | None:
        nonlocal room
        file = files.get(content_id)
        # What is shown often counts each time, or a small mail could become an endless page.
        if file is None or file.media_type not in PICTURE_TYPES or file.size > room:
            return None
        try:
            data = file_store().get(file.sha256)
        except FileMissingError:
            return None
        room -= len(data)
        return f"data:{file.media_type};base64,{base64.b64encode(data).decode('ascii')}"

    return address_of


def _openable(mail_id: int) -> OutgoingMail:
    """Return a mail whose exact message the user may see; that of a private one names an address that lists do not."""
    row = mail_or_404(mail_id)
    return mail_or_404(mail_id, "outbox.mail.resend") if row.private else row


@blueprint.get("/mails/<int:mail_id>/eml")
@requires("outbox.mail.read")
def mail_eml(mail_id: int) -> ResponseReturnValue:
    """Download the exact message."""
    row = _openable(mail_id)
    response = Response(_exact_message(row), mimetype="message/rfc822")
    response.headers.set("Content-Disposition", "attachment", filename=f"envoi-{row.id}.eml")
    return response


@blueprint.get("/mails/<int:mail_id>/head")
@requires("outbox.mail.read")
def mail_head(mail_id: int) -> ResponseReturnValue:
    """Show the header lines of the exact message, and whether it still has the hash of what was sent."""
    row = _openable(mail_id)
    head, problem, agrees = "", "", False
    try:
        data = _exact_message(row)
    except UserError as error:
        problem = str(error.message)
    else:
        head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        agrees = bool(row.message_sha256) and hashlib.sha256(data).hexdigest() == row.message_sha256
    return render_template("outbox/mail_page/_head.html", mail=row, head=head, problem=problem, agrees=agrees)


@blueprint.get("/mails/<int:mail_id>/attachments/<int:attachment_id>")
@requires("outbox.mail.read")
def attachment(mail_id: int, attachment_id: int) -> ResponseReturnValue:
    """Open the PDF of a mail, or download a file of it."""
    parent = mail_or_404(mail_id)
    row = db.session.get(MailAttachment, attachment_id)
    if row is None or row.mail_id != mail_id or not row.sha256:
        abort(404)
    _refuse_erased(parent)
    try:
        data = file_store().get(row.sha256)
    except FileMissingError as error:
        raise UserError(gettext("This file is gone from the store.")) from error
    # Only our own PDF may open in the browser; a file by others could be a page with scripts.
    media_type = "application/pdf" if row.generated else "application/octet-stream"
    response = send_file(BytesIO(data), media_type, as_attachment=not row.generated, download_name=row.name)
    return for_viewer(response)
