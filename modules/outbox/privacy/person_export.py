"""Everything that is known about an address, as a ZIP: a JSON for machines, and the mails as they went out.

Whoever asks gets what concerns them, not what concerns others: of a mail to several people only their own line,
and of the history nothing that names somebody else.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from core import clock
from core.db import db, end_reading
from core.errors import UserError
from core.files import FileMissingError
from core.i18n import lazy_gettext as _l
from modules.outbox.message import build_message, file_store
from modules.outbox.models import Alert, InboundMessage, MailRecipient, OutgoingMail, RecipientNotice
from modules.outbox.privacy.person import answers_from, known, mails_to
from modules.outbox.private_addresses import hash_in

CHUNK = 25  # mails read at a time; their texts may be large
MESSAGES_IN_A_REQUEST = 500  # whole messages in a download; the command line has no such bound


def write_export(address: str, target: IO[bytes], *, messages: int | None = None) -> int:
    """Write everything that is known about an address into a ZIP file.

    Args:
        address: The address, in its usual form.
        target: Where the ZIP goes.
        messages: How many mails to put in whole, the newest first, or None for all; the JSON names every one.

    Returns:
        How many mails there are.

    Raises:
        UserError: Nothing is known about the address.
    """
    about = known(address)
    if not about.anything:
        raise UserError(_l("Nothing is known about %(address)s.", address=address), "address")
    data: dict[str, Any] = {
        "address": address,
        "exported_at": clock.now().isoformat(timespec="seconds"),
        "contacts": [
            {
                "name": row.name,
                "email": row.email,
                "phone": row.phone,
                "function": row.function,
                "customer": row.parent.name if row.parent else None,
                "language": row.language,
                "emails_wanted": row.consent,
                "emails_wanted_since": row.consent_at.isoformat(timespec="seconds")
                if row.consent_at
                else None,
                "emails_wanted_source": row.consent_source,
                "labels": [label.title for label in row.labels],
                "since": row.created_at.isoformat(timespec="seconds"),
            }
            for row in about.contacts
        ],
        # What an address was before, or became, may be somebody else's.
        "address_history": [
            {
                "name": change.partner.name,
                "what": "given" if change.after.casefold() == address.casefold() else "taken away",
                "at": change.at.isoformat(timespec="seconds"),
            }
            for change in about.changes
        ],
        "users": [
            {"login": row.login, "name": row.name, "language": row.language, "active": row.active}
            for row in about.users
        ],
        "sent_by_user": about.sent,
        "mails": [],
        "answers": [],
    }
    whole = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for mail in _mails(address):
            entry = _entry(mail, address)
            if messages is None or whole < messages:
                message = _message(mail)
                entry["message"] = f"mails/{mail.id}.eml" if message else "not kept"
                if message:
                    archive.writestr(f"mails/{mail.id}.eml", message)
                    whole += 1
            else:
                entry["message"] = "left out: too many for one download"
            data["mails"].append(entry)
        for inbound in db.session.scalars(
            select(InboundMessage)
            .where(InboundMessage.id.in_(answers_from(address)))
            .options(joinedload(InboundMessage.answer))
            .order_by(InboundMessage.id)
        ):
            data["answers"].append(_answer(inbound, archive))
        archive.writestr("personal-data.json", json.dumps(data, ensure_ascii=False, indent=2))
    return len(data["mails"])


def _answer(inbound: InboundMessage, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return what somebody has answered; its files go into the archive."""
    answer = inbound.answer
    if answer is None:
        return {}
    names = []
    for file in answer.files:
        if file.name:
            names.append(f"answers/{inbound.id}/{file.position}-{file.name}")
            with suppress(FileMissingError):
                archive.writestr(names[-1], file_store().get(file.sha256))
    return {
        "at": _time(inbound.received_at),
        "mail": inbound.mail_id,
        "from": answer.sender,
        "name": answer.sender_name,
        "subject": answer.subject,
        "text": answer.body_text,
        "files": names,
    }


def _mails(address: str) -> Iterator[OutgoingMail]:
    """Yield the mails to an address, newest first, and hold no more than a few at once."""
    ids = sorted(db.session.scalars(mails_to(address)), reverse=True)
    for start in range(0, len(ids), CHUNK):
        rows = db.session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.id.in_(ids[start : start + CHUNK]))
            .options(
                selectinload(OutgoingMail.recipients),
                selectinload(OutgoingMail.attachments),
                selectinload(OutgoingMail.attempt_rows),
                selectinload(OutgoingMail.events),
                joinedload(OutgoingMail.document),
                joinedload(OutgoingMail.company),
            )
            .order_by(OutgoingMail.id.desc())
        )
        loaded = list(rows)
        yield from loaded
        end_reading()
        for mail in loaded:
            db.session.expunge(mail)


def _message(mail: OutgoingMail) -> bytes | None:
    if mail.contents_erased_at is not None or not mail.sender_address:
        return None
    try:
        return build_message(mail)
    except FileMissingError:
        return None


def _time(value: Any) -> str | None:
    return value.isoformat(timespec="seconds") if value is not None else None


def _entry(mail: OutgoingMail, address: str) -> dict[str, Any]:
    keys = {address.casefold(), hash_in(mail, address)}
    alerts = db.session.scalars(select(Alert).where(Alert.mail_id == mail.id).order_by(Alert.id))
    return {
        "id": mail.id,
        "message_id": mail.message_id,
        "subject": mail.subject,
        "state": mail.state.value,
        "company": mail.company.name,
        "document": mail.document.number if mail.document else None,
        "further_documents": [
            row.document.number for row in mail.further_documents if row.document is not None
        ],
        "submitted_at": _time(mail.submitted_at),
        "settled_at": _time(mail.settled_at),
        "contents_erased_at": _time(mail.contents_erased_at),
        "from": mail.sender_address,
        "recipient": [_recipient(row) for row in mail.recipients if row.addr_spec.casefold() in keys],
        "other_recipients": sum(1 for row in mail.recipients if row.addr_spec.casefold() not in keys),
        "attachments": [
            {"name": row.name, "size": row.size, "sha256": row.sha256} for row in mail.attachments
        ],
        "attempts": [
            {
                "started_at": _time(row.started_at),
                "ended_at": _time(row.ended_at),
                "server": row.server_name,
                "outcome": row.outcome.value,
                "failure": row.failure_kind.value if row.failure_kind else None,
            }
            for row in mail.attempt_rows
        ],
        "events": [
            {
                "at": _time(row.at),
                "step": row.verb,
                "from": row.before.value if row.before else None,
                "to": row.after.value,
                "detail": row.detail
                if "@" not in row.detail or address.casefold() in row.detail.casefold()
                else "",
            }
            for row in mail.events
        ],
        "alerts": [
            {"at": _time(row.created_at), "failure": row.failure_kind.value if row.failure_kind else None}
            for row in alerts
        ],
    }


def _recipient(row: MailRecipient) -> dict[str, Any]:
    return {
        "address": row.addr_spec,
        "name": row.display_name,
        "field": row.field.value,
        "why": row.reason.value,
        "state": row.state.value,
        "reply": row.diagnostic,
        "came_back": [
            {"what": notice.action.value, "at": _time(notice.at), "words": notice.diagnostic}
            for notice in db.session.scalars(
                select(RecipientNotice)
                .where(RecipientNotice.recipient_id == row.id)
                .order_by(RecipientNotice.id)
            )
        ],
    }
