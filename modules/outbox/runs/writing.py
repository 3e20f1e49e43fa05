"""The step of a worker that writes mails of a run.

What it has read before its transaction is compared inside of it: whoever works on the run beside it, and whatever has
changed meanwhile, nothing is written twice, and nothing that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask_babel import force_locale
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.i18n import N_
from core.mail.draft import MailDraft
from modules.mail_config.models import MailTemplate
from modules.outbox import service
from modules.outbox.models import HeldReason, ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs.bundles import Letter, Part, gathered, packed
from modules.outbox.runs.drafting import Facts, drafts_of, facts_of, sent_as_they_are
from modules.outbox.runs.held import Destination, HeldError
from modules.outbox.runs.looking import hold
from modules.outbox.runs.telling import tell

WRITTEN_AT = 25
"""Mails that one transaction writes: some milliseconds each."""
NOT_ANY_MORE = N_("Whoever has started it may not send any more.")
TEMPLATE_GONE = N_("The template was deleted. Choose another one, then continue.")
TEMPLATE_CHANGED = N_("The template was changed after the start. Continue to send what it says now.")


def write_some(run_id: int) -> bool:
    """Write the next mails of a run; return True when something was done."""
    run = db.session.get_one(Run, run_id, populate_existing=True)
    user = db.session.get(User, run.by_user_id, populate_existing=True) if run.by_user_id else None
    if user is None or not user.active or not user.can("outbox.mail.send"):
        return _pause(run_id, NOT_ANY_MORE)
    if run.template_id is not None:
        template = db.session.get(MailTemplate, run.template_id, populate_existing=True)
        if template is None or not template.active:
            return _pause(run_id, TEMPLATE_GONE)
        if template.revision != run.template_revision:
            return _pause(run_id, TEMPLATE_CHANGED)
    ready = (
        select(RunItem)
        .where(RunItem.run_id == run_id, RunItem.state == ItemState.READY)
        .order_by(RunItem.id)
        .limit(WRITTEN_AT)
    )
    items = list(db.session.scalars(ready))
    if not items:
        return False
    groups = gathered(run, items, WRITTEN_AT)
    every = [item for group in groups for item in group]
    asked = {item.id: item.asked for item in every}
    facts = facts_of(every, user)
    letters: list[Letter] = []
    # Outside of a transaction: a text takes its time, and nobody should wait for it.
    with force_locale(locale_of_user(user)):
        made = drafts_of(every, facts, run, user)
        for group in groups:
            try:
                letters += _letters(group, made, facts, run, user)
            except _TemplateChangedError:
                if not letters:
                    return _pause(run_id, TEMPLATE_CHANGED)
                break
    _submit(run_id, user.id, letters, asked)
    return True


def _letters(
    group: Sequence[RunItem],
    made: Mapping[int, tuple[MailDraft, Destination] | HeldError],
    facts: Facts,
    run: Run,
    user: User,
) -> list[Letter]:
    """Return the mails of what goes together, and why what of it does not go."""
    drafts = {item.id: _draft(item, made[item.id], run) for item in group}
    letters: list[Letter] = []
    parts: list[Part] = []
    for item in group:
        draft, document = drafts[item.id], facts.documents.get(item.document_id or 0)
        if isinstance(draft, HeldError) or document is None or len(group) == 1:
            letters.append(Letter((item.id,), draft))
        else:
            parts.append(Part(item, document, draft))
    return [*letters, *packed(run, parts, user)]


def _draft(item: RunItem, made: tuple[MailDraft, Destination] | HeldError, run: Run) -> MailDraft | HeldError:
    if isinstance(made, HeldError):
        return made
    draft, where = made
    if draft.document_revision != item.revision:
        return HeldError(HeldReason.CHANGED)
    # What was looked through by a former release has shown neither.
    if item.seen_recipients not in {"", where.seen_recipients}:
        return HeldError(HeldReason.RECIPIENTS_CHANGED)
    if (run.template_id is None or run.packs) and item.seen_template not in {"", where.seen_template}:
        raise _TemplateChangedError
    return draft


class _TemplateChangedError(Exception):
    """The template by which a document was to be written says something else now, or another one applies."""


def _submit(run_id: int, user_id: int, letters: Sequence[Letter], asked: Mapping[int, int]) -> None:
    """Write mails with what their items say, in one transaction.

    Args:
        run_id: The run.
        user_id: In whose name.
        letters: The mails, with the items that they settle.
        asked: What each item had as `asked` when its mail was made. One that was decided anew meanwhile waits.
    """
    with transaction() as session:
        run = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        if run.state is not RunState.RUNNING:
            return
        user = session.get_one(User, user_id)
        items = list(
            session.scalars(
                select(RunItem)
                .where(
                    RunItem.id.in_([number for letter in letters for number in letter.items]),
                    RunItem.state == ItemState.READY,
                )
                .order_by(RunItem.id)
                .with_for_update(of=RunItem)
                .execution_options(populate_existing=True)
            )
        )
        # Of two runs with the same documents, the second waits here, and then sees what the first has written.
        ids = [item.document_id for item in items if item.document_id is not None]
        locked = select(Document).where(Document.id.in_(ids)).order_by(Document.id)
        documents = {
            row.id: row
            for row in session.scalars(
                locked.with_for_update(key_share=True, of=Document).execution_options(populate_existing=True)
            ).unique()
        }
        there = {item.id: item for item in items if item.asked == asked[item.id]}
        sent = sent_as_they_are(documents)
        written: list[int] = []
        for letter in letters:
            rows = [there[number] for number in letter.items if number in there]
            mail = _write_letter(letter, rows, documents, sent, user)
            if mail is not None:
                mail.run_id = run_id
                written.append(mail.id)
        run.touched_at = clock.now()
        # Behind the single mails of people, which go to the front.
        service.enqueue_delivery(written)


def _write_letter(
    letter: Letter,
    rows: Sequence[RunItem],
    documents: Mapping[int, Document],
    sent: Mapping[int, str],
    user: User,
) -> OutgoingMail | None:
    """Write the mail of some items, which are locked, or hold those that keep it from being written."""
    draft = letter.draft
    if isinstance(draft, HeldError):
        for row in rows:
            hold(row, draft)
        return None
    before = [row for row in rows if row.document_id in sent and not row.anyway]
    for row in before:
        hold(row, HeldError(HeldReason.SENT_BEFORE, sent[row.document_id or 0]))
    if before or len(rows) < len(letter.items):
        return None  # the others are written by the next step, in a mail that names them alone
    try:
        mail = service.write_mail(draft, user)
    except ConcurrentChangeError:
        changed = [row for row in rows if _is_changed(row, documents)]
        for row in changed or rows:
            hold(row, HeldError(HeldReason.CHANGED))
        return None
    except UserError as error:
        for row in rows:
            hold(row, HeldError(HeldReason.REFUSED, str(error.message)))
        return None
    bundle = f"mail {mail.id}" if len(rows) > 1 else ""
    for row in rows:
        row.mail_id, row.state, row.encrypted_choice = mail.id, ItemState.SUBMITTED, None
        row.reason, row.detail, row.bundle = None, "", bundle
    return mail


def _is_changed(row: RunItem, documents: Mapping[int, Document]) -> bool:
    document = documents.get(row.document_id or 0)
    return document is None or document.revision != row.revision


def _pause(run_id: int, why: str) -> bool:
    with transaction() as session:
        run = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        if run.state is RunState.RUNNING:
            run.state, run.paused_why = RunState.PAUSED, why
            tell(run, why)
    return True
