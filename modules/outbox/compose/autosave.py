"""Drafts that are kept while somebody writes, so that nothing is lost, and colleagues know of each other.

There is one for each document and user, and for mails about no document one for each customer. It is also what a mail
is made of again when its sending is undone.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, delete, select
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import MultiDict

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.vault import decrypt, encrypt
from modules.outbox.models import DraftFile, KeptDraft, OutgoingMail
from modules.outbox.states import MailState

PRESENT = dt.timedelta(seconds=50)
"""A composer that was not heard of for so long is closed, or its browser is away."""

KEPT_FIELDS = (
    "token", "proposed", "revision", "language", "template", "changed", "to", "cc", "bcc", "left_out",
    "to_typed", "cc_typed", "bcc_typed", "reply_to", "subject", "body", "file", "pdf", "priority",
    "delivery_receipt", "read_receipt", "send_at", "promotional", "company", "also", "zip_name",
)  # fmt: skip
MAX_CONTENTS = 3_000_000  # characters of a draft as JSON; beyond it the page says that it is not kept
_ELSEWHERE = "{}"  # in place of contents that are encrypted


@dataclass(frozen=True, slots=True)
class About:
    """What a draft is about.

    Attributes:
        document_id: The document, or None.
        partner_id: Where there is no document: the customer, or None for anybody.
    """

    document_id: int | None
    partner_id: int | None = None

    def drafts(self, user: User) -> Select[KeptDraft]:
        """Select what a user has kept about it, the newest first."""
        return (
            select(KeptDraft)
            .where(
                KeptDraft.document_id == self.document_id,
                KeptDraft.partner_id == self.partner_id,
                KeptDraft.user_id == user.id,
            )
            .order_by(KeptDraft.id.desc())
            .limit(1)
        )


def kept_draft(about: About, user: User) -> KeptDraft | None:
    """Return what a user has written and not sent, or None.

    What was sent is a draft no more, unless the sending was undone.
    """
    draft = db.session.scalar(about.drafts(user))
    if draft is None or not draft.contents or was_sent(draft.token):
        return None
    return draft


def draft_of_mail(mail: OutgoingMail, user: User) -> KeptDraft | None:
    """Return the draft that a mail was made of, while it is still that and nothing else; else None."""
    if mail.document_id is None or mail.submission_token is None:
        return None
    return db.session.scalar(
        select(KeptDraft).where(
            KeptDraft.document_id == mail.document_id,
            KeptDraft.user_id == user.id,
            KeptDraft.token == mail.submission_token,
            KeptDraft.contents != "",
        )
    )


def was_sent(token: str) -> bool:
    """Return True when the form of a token was sent, and not called back."""
    state = db.session.scalar(select(OutgoingMail.state).where(OutgoingMail.submission_token == token))
    return state is not None and state is not MailState.CANCELED


def was_called_back(token: str) -> bool:
    """Return True when the form of a token was sent, and called back."""
    state = db.session.scalar(select(OutgoingMail.state).where(OutgoingMail.submission_token == token))
    return state is MailState.CANCELED


def contents_of(draft: KeptDraft) -> MultiDict[str, str]:
    """Return what the form held, as it was posted."""
    return MultiDict([(name, value) for name, values in _fields(draft).items() for value in values])


def _fields(draft: KeptDraft) -> dict[str, list[str]]:
    """Return what the form held, by name."""
    sealed = draft.encrypted_contents
    fields: dict[str, list[str]] = json.loads(decrypt(sealed) if sealed is not None else draft.contents)
    return fields


def keep(
    about: About,
    user: User,
    posted: MultiDict[str, str],
    hashes: Iterable[str] = (),
    *,
    worth: bool = True,
    sent_as: str | None = None,
    private: bool = False,
) -> KeptDraft:
    """Keep what stands in a composer, and note that it is open.

    Args:
        about: What it is about.
        user: Who writes.
        posted: What the form holds.
        hashes: The files it refers to; they stay in the store as long as the draft is kept.
        worth: False where nothing was changed: then only the presence is noted.
        sent_as: The token of the mail that was just made of it, or None while it is being written.
        private: True to encrypt it, since an address in it is not to be kept.

    Raises:
        UserError: The text is too long to be kept, or would replace another letter of the same person.
    """
    contents = json.dumps(
        {name: posted.getlist(name) for name in KEPT_FIELDS if posted.getlist(name)}, ensure_ascii=False
    )
    if len(contents) > MAX_CONTENTS:
        raise UserError(_l("The text is too long to be kept."), "body")
    wanted = about.drafts(user)
    token = posted.get("token", "")[:64]
    with transaction() as session:
        draft = session.scalar(wanted.with_for_update())
        if draft is None:
            try:
                with session.begin_nested():
                    draft = KeptDraft(
                        document_id=about.document_id,
                        partner_id=about.partner_id,
                        user_id=user.id,
                        token=token,
                    )
                    session.add(draft)
            except IntegrityError:
                # Two windows of one person at once: the other was faster.
                draft = session.scalars(wanted).one()
        # Also where nothing is kept: colleagues see by it that the composer is open.
        draft.touched_at = clock.now()
        if not _may_write(draft, token, posted.get("resumed", ""), worth=worth, sent=sent_as is not None):
            return draft
        draft.token = sent_as or token
        sealed = private and worth
        draft.contents = _ELSEWHERE if sealed else contents if worth else ""
        draft.encrypted_contents = encrypt(contents) if sealed else None
        # All anew: what was taken out of the form must not hold its bytes in the store.
        session.execute(delete(DraftFile).where(DraftFile.draft_id == draft.id))
        session.flush()
        if worth:
            session.add_all(DraftFile(draft_id=draft.id, sha256=sha256) for sha256 in sorted(set(hashes)))
    return draft


def _may_write(draft: KeptDraft, token: str, resumed: str, *, worth: bool, sent: bool) -> bool:
    """Return True when a form may take the place of what is kept, False when what is kept simply stays.

    Args:
        draft: The row.
        token: Names the form.
        resumed: The opening that the form goes on with.
        worth: False where nothing was changed in the form.
        sent: True when a mail was just made of it.

    Raises:
        UserError: The person must know that it is not kept: there is another letter, or another window.
    """
    if not draft.contents:
        return True
    kept = _token_in(draft)
    if not sent and not worth and kept != token:
        return False  # another window, in which nothing was written
    if not _replaces(draft, token):
        if not was_sent(draft.token):
            if sent:
                return False  # another letter: it stays, though this one has been sent
            raise UserError(
                _l(
                    "Another email of yours is kept here already. This one is not: send or "
                    "discard it, or open the composer again to go on with the other."
                )
            )
        return sent or lineage_of(kept) != lineage_of(token)  # not the letter that has just been sent
    if not sent and kept not in {token, resumed}:
        raise UserError(
            _l(
                "You have gone on with this letter in another window, and that is what is kept. To write on "
                "here, copy what you need and open the composer again."
            )
        )
    return True


def _token_in(draft: KeptDraft) -> str:
    """Return the token of the form that was kept; that of the row is the mail's once it was sent."""
    found: list[str] = _fields(draft).get("token", [])
    return found[0] if found else ""


def _replaces(draft: KeptDraft, token: str) -> bool:
    """Return True when a form goes on with what is kept: another opening of the same letter, not sent yet."""
    return lineage_of(_token_in(draft)) == lineage_of(token) and not was_sent(draft.token)


def new_token(lineage: str = "") -> str:
    """Return a name for one opening of the composer.

    Args:
        lineage: What the openings of one letter have in common; "" for a new letter.
    """
    # Two parts: the same letter in two windows is told from two letters.
    return f"{lineage or secrets.token_hex(10)}.{secrets.token_hex(8)}"


def lineage_of(token: str) -> str:
    """Return what the openings of one letter have in common."""
    return token.partition(".")[0]


def token_kept(about: About, user: User) -> str:
    """Return the token of what a user has kept, or "" for nothing."""
    kept = kept_draft(about, user)
    return _token_in(kept) if kept is not None else ""


def discard(about: About, user: User, token: str) -> None:
    """Forget what a user has written; another letter than that of the token stays.

    Args:
        about: What it is about.
        user: Who wrote.
        token: Names the composer in which it is discarded; "" for whatever is kept.
    """
    wanted = about.drafts(user)
    with transaction() as session:
        draft = session.scalar(wanted.with_for_update())
        if draft is None:
            return
        if not token or not draft.contents or lineage_of(_token_in(draft)) == lineage_of(token):
            session.delete(draft)


def forget_address(address: str) -> None:
    """Forget all drafts in which an address stands, inside the running transaction."""
    with transaction() as session:
        # As JSON writes it.
        written = json.dumps(address, ensure_ascii=False)[1:-1]
        session.execute(
            delete(KeptDraft)
            .where(KeptDraft.contents.icontains(written, autoescape=True))
            .execution_options(synchronize_session=False)
        )


def others_writing(document_id: int, user: User) -> list[str]:
    """Return the names of colleagues who have the composer of a document open now."""
    rows = db.session.scalars(
        select(User.name)
        .join(KeptDraft, KeptDraft.user_id == User.id)
        .where(
            KeptDraft.document_id == document_id,
            KeptDraft.user_id != user.id,
            KeptDraft.touched_at > clock.now() - PRESENT,
        )
        .order_by(User.name)
    )
    return list(rows)
