"""What a worker does for runs, in steps: add what was selected, look it through, write mails, cancel, come to an end.

Each step is short and commits; what a step has read before its transaction is compared inside of it. So a run may be
worked on by two workers, a worker may die at any moment, and the queue may be emptied: nothing is written twice and
nothing is lost. `resume_lost` asks again for what nobody works on.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import force_locale, gettext, ngettext
from sqlalchemy import delete, func, or_, select

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.i18n import N_
from core.installation import service as installation
from core.jobs import enqueue, enqueue_after_commit, lost
from core.mail.draft import MailDraft
from core.registry import current_registry
from modules.mail_config.models import MailTemplate
from modules.outbox import service
from modules.outbox.alert_rows import INSERT_ALERT, MAX_WORDS
from modules.outbox.models import HeldReason, ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import filling
from modules.outbox.runs.bundles import Letter, Part, bundle_of, gathered, held_bundle_of, packed
from modules.outbox.runs.counts import counts_of
from modules.outbox.runs.drafting import Facts, draft_of, facts_of, sent_as_they_are
from modules.outbox.runs.held import HeldError
from modules.outbox.states import CANCELABLE, MailState

logger = logging.getLogger(__name__)

LOOKED_AT = 50
"""Documents that are looked through between two looks at the run."""
WRITTEN_AT = 25
"""Mails that one transaction writes: some milliseconds each."""
STEPS_A_JOB = 8
"""After so many steps a job lets other jobs pass: single mails, and those of the run itself."""
ON_THE_WAY = 200
"""With so many mails on the queue a run waits, so that it can be paused, and others have their turn."""
CANCELED_AT_ONCE = 200
LOOK_AGAIN = dt.timedelta(seconds=2)
KEEP_DRAFTS = dt.timedelta(days=30)
"""A run that nobody has started is forgotten so long after it was last touched."""
LOST_AFTER = dt.timedelta(seconds=30)
"""A run that nobody has touched for so long has lost its job."""

NOT_ANY_MORE = N_("Whoever has started it may not send any more.")
TEMPLATE_GONE = N_("The template was deleted. Choose another one, then continue.")
TEMPLATE_CHANGED = N_("The template was changed after the start. Continue to send what it says now.")
_MOVING = (MailState.QUEUED, MailState.SENDING)


def work(run_id: int) -> None:
    """Go on with a run until it waits for something, or has had its turn; runs as a job."""
    for _ in range(STEPS_A_JOB):
        again = _step(run_id)
        end_reading()
        if again is None:
            return
        if isinstance(again, dt.datetime):
            enqueue("outbox.run", run_id, at=again)
            return
    enqueue("outbox.run", run_id)


def _step(run_id: int) -> dt.datetime | bool | None:
    """Do the next step of a run; return False to go on, when to look again, or None where there is nothing to do."""
    run = db.session.get(Run, run_id, populate_existing=True)
    if run is None or run.ended_at is not None:
        return None
    if run.state is RunState.STOPPED:
        return False if cancel_some(run_id, None) else _end(run_id)
    if not filling.add_some(run_id) or not look(run_id, LOOKED_AT):
        return False
    return _step_forward(run_id) if run.state is RunState.RUNNING else None


def _step_forward(run_id: int) -> dt.datetime | bool | None:
    """Do the next step of a run that is looked through and was started; returns what `_step` does."""
    # In a restored copy stands as to be written what may have left long ago: a person decides first.
    if installation.verify() is not None:
        return None
    run = db.session.get_one(Run, run_id, populate_existing=True)
    if run.not_before is not None and run.not_before > clock.now():
        return run.not_before
    if _count_moving(run_id) >= ON_THE_WAY:
        return clock.now() + LOOK_AGAIN
    if _write(run_id):
        return False
    return _end(run_id)


def _count_moving(run_id: int) -> int:
    some = (
        select(OutgoingMail.id)
        .where(OutgoingMail.run_id == run_id, OutgoingMail.state.in_(_MOVING))
        .limit(ON_THE_WAY)
        .subquery()
    )
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


# -- looking through ---------------------------------------------------------------------------------------


def look(run_id: int, limit: int, only: Sequence[int] | None = None) -> bool:
    """Look through some documents of a run; return True when none is left to be looked at.

    Args:
        run_id: The run.
        limit: How many at most.
        only: The items that are looked at, or None for the next ones.
    """
    run = db.session.get(Run, run_id, populate_existing=True)
    user = db.session.get(User, run.by_user_id) if run is not None and run.by_user_id else None
    query = select(RunItem).where(RunItem.run_id == run_id, RunItem.state == ItemState.UNCHECKED)
    if only is not None:
        query = query.where(RunItem.id.in_(only))
    items = list(db.session.scalars(query.order_by(RunItem.id).limit(limit)))
    if run is None or user is None or not items:
        return True
    found = _found(run, items, user)
    with transaction() as session:
        locked = session.scalars(
            select(RunItem)
            .where(RunItem.id.in_(found), RunItem.state == ItemState.UNCHECKED)
            .order_by(RunItem.id)
            .with_for_update(of=RunItem)
            .execution_options(populate_existing=True)
        )
        for item in locked:
            seen = found[item.id]
            _hold(item, seen.held)
            item.revision, item.bundle = seen.revision, seen.bundle
            item.seen_template, item.seen_recipients = seen.template, seen.recipients
        session.get_one(Run, run_id).touched_at = clock.now()
    return len(items) < limit


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found when a document was looked through.

    Attributes:
        held: Why it is held, or None.
        revision: That of the document then.
        template: The template then, as `Destination.seen_template` names it.
        recipients: Whom it would have gone to, as `Destination.seen_recipients` says.
        bundle: What it has in common with those that go in one mail with it, or are held together; or "".
    """

    held: HeldError | None
    revision: int
    template: str = ""
    recipients: str = ""
    bundle: str = ""


def _found(run: Run, items: Sequence[RunItem], user: User) -> dict[int, _Seen]:
    """Return what is found of each item."""
    facts = facts_of(items, user)
    found: dict[int, _Seen] = {}
    with force_locale(locale_of_user(user)):
        for item in items:
            document = facts.documents.get(item.document_id or 0)
            revision = document.revision if document is not None else 0
            try:
                draft, where = draft_of(item, facts, run, user)
            except HeldError as error:
                bundle = held_bundle_of(document, error) if run.packs else ""
                found[item.id] = _Seen(error, revision, error.seen_template, bundle=bundle)
            else:
                bundle = bundle_of(draft, document, where) if run.packs and document is not None else ""
                found[item.id] = _Seen(None, revision, where.seen_template, where.seen_recipients, bundle)
    return found


def _hold(item: RunItem, held: HeldError | None) -> None:
    item.state = ItemState.READY if held is None else ItemState.HELD
    item.reason = held.reason if held is not None else None
    item.detail = held.detail[:300] if held is not None else ""
    item.bundle = ""


# -- writing -----------------------------------------------------------------------------------------------


def _write(run_id: int) -> bool:
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
    facts = facts_of([item for group in groups for item in group], user)
    letters: list[Letter] = []
    # Outside of a transaction: a text takes its time, and nobody should wait for it.
    with force_locale(locale_of_user(user)):
        for group in groups:
            try:
                letters += _letters(group, facts, run, user)
            except _TemplateChangedError:
                if not letters:
                    return _pause(run_id, TEMPLATE_CHANGED)
                break
    _submit(run_id, user.id, letters)
    return True


def _letters(group: Sequence[RunItem], facts: Facts, run: Run, user: User) -> list[Letter]:
    """Return the mails of what goes together, and why what of it does not go."""
    drafts = {item.id: _draft(item, facts, run, user) for item in group}
    letters: list[Letter] = []
    parts: list[Part] = []
    for item in group:
        draft, document = drafts[item.id], facts.documents.get(item.document_id or 0)
        if isinstance(draft, HeldError) or document is None or len(group) == 1:
            letters.append(Letter((item.id,), draft))
        else:
            parts.append(Part(item, document, draft))
    return [*letters, *packed(run, parts, user)]


def _draft(item: RunItem, facts: Facts, run: Run, user: User) -> MailDraft | HeldError:
    try:
        draft, where = draft_of(item, facts, run, user)
    except HeldError as error:
        return error
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


def _submit(run_id: int, user_id: int, letters: Sequence[Letter]) -> None:
    """Write mails with what their items say, in one transaction."""
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
        there = {item.id: item for item in items}
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
            _hold(row, draft)
        return None
    before = [row for row in rows if row.document_id in sent and not row.anyway]
    for row in before:
        _hold(row, HeldError(HeldReason.SENT_BEFORE, sent[row.document_id or 0]))
    if before or len(rows) < len(letter.items):
        return None  # the others are written by the next step, in a mail that names them alone
    try:
        mail = service.write_mail(draft, user, hold_dead=not any(row.anyway for row in rows))
    except ConcurrentChangeError:
        changed = [row for row in rows if _is_changed(row, documents)]
        for row in changed or rows:
            _hold(row, HeldError(HeldReason.CHANGED))
        return None
    except UserError as error:
        for row in rows:
            _hold(row, HeldError(HeldReason.REFUSED, str(error.message)))
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


# -- stopping and ending -----------------------------------------------------------------------------------


def cancel_some(run_id: int, by: User | None) -> list[int]:
    """Cancel some mails of a run that have not left, and return their ids."""
    waiting = (
        select(OutgoingMail.id)
        .where(OutgoingMail.run_id == run_id, OutgoingMail.state.in_(sorted(CANCELABLE)))
        .limit(CANCELED_AT_ONCE)
    )
    return service.cancel(list(db.session.scalars(waiting)), by=by)


def _end(run_id: int) -> dt.datetime | None:
    """End a run of which nothing is on its way, or return when to look again."""
    if _count_moving(run_id):
        return clock.now() + LOOK_AGAIN
    with transaction() as session:
        run = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        if run.ended_at is not None or run.state not in {RunState.RUNNING, RunState.STOPPED}:
            return None
        run.ended_at = clock.now()
        # Choices of what was not sent are of no use any more.
        for item in session.scalars(
            select(RunItem).where(RunItem.run_id == run_id, RunItem.encrypted_choice.is_not(None))
        ):
            item.encrypted_choice = None
        if run.state is RunState.RUNNING:
            run.state = RunState.DONE
            tell(run, None)
    return None


def tell(run: Run, words: str | None) -> None:
    """Tell the person of a run by the bell what became of it, in their language; inside the running transaction."""
    user = db.session.get(User, run.by_user_id) if run.by_user_id else None
    if user is None:
        return
    with force_locale(locale_of_user(user)):
        text = gettext(words) if words is not None else outcome_sentence(run.id)
    db.session.execute(
        INSERT_ALERT,
        {
            "user_id": user.id,
            "mail_id": None,
            "server_id": None,
            "run_id": run.id,
            "failure_kind": None,
            "words": text[:MAX_WORDS],
            "created_at": clock.now(),
            "seen_at": None,
            "mailed_at": None,
        },
    )


def outcome_sentence(run_id: int) -> str:
    """Return in words how many mails of a run were accepted, and how many documents did not go."""
    counts = counts_of(run_id)
    sent, held = counts.accepted, counts.of(ItemState.HELD)
    others = sum(counts.mails.values()) - sent
    words = [ngettext("%(num)d email was accepted.", "%(num)d emails were accepted.", sent)]
    if others:
        words.append(ngettext("%(num)d was not.", "%(num)d were not.", others))
    run = db.session.get_one(Run, run_id)
    if run.packs and (carried := counts.of(ItemState.SUBMITTED)):
        words.append(ngettext("They carry %(num)d document.", "They carry %(num)d documents.", carried))
    if held and run.of_customers:
        words.append(ngettext("%(num)d customer got none.", "%(num)d customers got none.", held))
    elif held:
        words.append(ngettext("%(num)d document was not sent.", "%(num)d documents were not sent.", held))
    return " ".join(words)


def title_of_list(name: str) -> str:
    """Return the title of the list that a run's documents were selected in."""
    declared = current_registry().lists.get(name)
    return str(gettext(declared.title)) if declared is not None else name


def resume_lost() -> int:
    """Ask again for runs that nobody works on any more; return how many."""
    now = clock.now()
    unchecked = select(RunItem.run_id).where(RunItem.run_id == Run.id, RunItem.state == ItemState.UNCHECKED)
    left = (
        select(Run)
        .where(
            Run.ended_at.is_(None),
            lost(Run.touched_at, LOST_AFTER),
            or_(
                Run.state == RunState.STOPPED,
                (Run.state == RunState.RUNNING) & or_(Run.not_before.is_(None), Run.not_before <= now),
                (Run.state == RunState.DRAFT) & or_(Run.to_add.is_not(None), unchecked.exists()),
            ),
        )
        .order_by(Run.touched_at)
        .limit(100)
    )
    with transaction() as session:
        runs = list(session.scalars(left))
        for run in runs:
            run.touched_at = now
            enqueue_after_commit("outbox.run", run.id)
    return len(runs)


def forget_drafts() -> int:
    """Forget the runs that nobody has started or touched for long, with the addresses chosen for them."""
    old = Run.touched_at < clock.now() - KEEP_DRAFTS
    with transaction() as session:
        ids = list(session.scalars(select(Run.id).where(Run.state == RunState.DRAFT, old).limit(100)))
        session.execute(delete(RunItem).where(RunItem.run_id.in_(ids)))
        session.execute(delete(Run).where(Run.id.in_(ids)))
    return len(ids)
