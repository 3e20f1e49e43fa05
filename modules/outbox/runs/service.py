"""The verbs of runs: prepare, choose, leave out, start, pause, continue, stop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, and_, false, or_, select, update
from sqlalchemy.orm import joinedload

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.companies.service import current_company
from core.db import db, transaction
from core.db.changes import note_change
from core.documents.models import Document
from core.documents.service import get_readable, readable_by
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit
from core.mail.addresses import Address, normalize
from core.mail.draft import DraftRecipient, MailDraft, Purpose, Reason
from core.partners.lists.service import list_named
from core.partners.models import Partner
from core.partners.reach import EDIT as EDIT_PARTNERS
from core.partners.reach import partner_for, reachable
from core.partners.service import ContactExistsError, save_contact, save_partner
from core.selection import Selection
from modules.mail_config.mail_templates.selection import choices_for
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.mail_config.template_language.documents_mail import DOCUMENTS
from modules.outbox import service
from modules.outbox.limits import MAX_SUBJECT_LENGTH
from modules.outbox.models import (
    NO_BUNDLE,
    HeldReason,
    ItemState,
    OutgoingMail,
    Packing,
    Run,
    RunItem,
    RunState,
)
from modules.outbox.permissions import READ
from modules.outbox.private_addresses import encrypted_choice
from modules.outbox.runs import filling, looking, telling, work, writing
from modules.outbox.runs.drafting import draft_of, facts_of
from modules.outbox.runs.held import HeldError
from modules.outbox.states import MailState

READ_AT_ONCE = 2000
"""Documents that one query asks about."""
LOOKED_AT_ONCE = 60
"""Documents that the request itself looks through: a few are there at once, the others are a worker's."""
LONGEST_AHEAD = dt.timedelta(days=365)


# -- which runs and documents a person reaches ------------------------------------------------------------


def reached(user: User, permission: str = READ) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Run` to those that a permission of the user reaches."""
    if not user.can(permission):
        return false()
    within = within_reach(user, permission, owner=Run.by_user_id, company=Run.company_id)
    mine = or_(Run.by_user_id == user.id, within)
    # Nobody acts upon what they may not see.
    return mine if permission == READ else and_(mine, reached(user))


def run_for(user: User, run_id: int, permission: str = READ) -> Run | None:
    """Return a run that a permission of the user reaches, or None."""
    query = select(Run).where(Run.id == run_id, reached(user, permission))
    return db.session.scalar(query.options(joinedload(Run.by_user)))


def items_of(run: Run, user: User) -> Select[RunItem]:
    """Return the items of a run whose documents or customers the user may read, and those of which they are gone."""
    if run.of_customers:
        gone = RunItem.partner_id.is_(None)
        readable = select(Partner.id).where(Partner.id == RunItem.partner_id, reachable(user))
    else:
        gone = RunItem.document_id.is_(None)
        readable = select(Document.id).where(Document.id == RunItem.document_id, readable_by(user))
    # A value and no set: of a hundred thousand, those are asked about that a page shows.
    named = readable.correlate(RunItem).scalar_subquery()
    return select(RunItem).where(RunItem.run_id == run.id, or_(gone, named.is_not(None)))


def item_for(user: User, run: Run, item_id: int) -> RunItem | None:
    """Return an item of a run whose document the user may read, or None."""
    return db.session.scalar(items_of(run, user).where(RunItem.id == item_id))


# -- preparing ---------------------------------------------------------------------------------------------


def prepare(selection: Selection, by: User) -> Run:
    """Make a run of the documents that are selected in a list, and begin to look them through.

    Nothing is sent before somebody presses Start. A run is of one company where all documents are.

    Raises:
        UserError: Nothing is selected.
    """
    ids = selection.row_ids(by)
    if not ids:
        raise UserError(_l("Select at least one line first."))
    companies: set[int] = set()
    for start in range(0, len(ids), READ_AT_ONCE):
        some = ids[start : start + READ_AT_ONCE]
        companies |= set(
            db.session.scalars(select(Document.company_id).where(Document.id.in_(some)).distinct())
        )
    run = Run(
        list_name=selection.of.name,
        by_user_id=by.id,
        company_id=companies.pop() if len(companies) == 1 else None,
        packing=_last_packing(selection.of.name, by),
    )
    return _begun(run, ids)


def _begun(run: Run, ids: Sequence[int]) -> Run:
    """Write a run of what was selected, and begin to look it through."""
    run.item_count, run.to_add = len(ids), filling.packed(ids)
    with transaction() as session:
        session.add(run)
        session.flush()
        run_id = run.id
    whole = filling.add_some(run_id)
    if not looking.look(run_id, LOOKED_AT_ONCE) or not whole:
        with transaction():
            enqueue_after_commit("outbox.run", run_id)
    return db.session.get_one(Run, run_id)


def _last_packing(list_name: str, by: User) -> Packing:
    """Return how a person has last sent what they have selected in a list."""
    last = (
        select(Run.packing)
        .where(Run.by_user_id == by.id, Run.list_name == list_name, Run.of_customers.is_(False))
        .order_by(Run.id.desc())
        .limit(1)
    )
    return db.session.scalar(last) or Packing.EACH


def choose_packing(run: Run, packing: Packing) -> None:
    """Say whether each document goes in a mail of its own, or those of a customer together.

    Raises:
        UserError: It has begun.
    """
    with transaction():
        locked = _locked(run.id)
        _demand(locked, RunState.DRAFT)
        if locked.of_customers or locked.packing is packing:
            return
        if Packing.EACH in {locked.packing, packing}:
            locked.template_id = None  # one for a document is none for several
        locked.packing = packing
        _look_again(locked.id, RunItem.state.in_([ItemState.READY, ItemState.HELD]))
    _look_soon(run.id)


def prepare_mailing(selection: Selection, by: User) -> Run:
    """Make a run of the customers that are selected in a list: promotional, until somebody says otherwise.

    Nothing is sent before somebody presses Start. It is sent for the company that the person works for at the moment.

    Raises:
        UserError: Nothing is selected, or the person works for no company.
    """
    ids = selection.row_ids(by)
    if not ids:
        raise UserError(_l("Select at least one line first."))
    company = current_company(by)
    template = next(iter(templates_for(CustomerMail(company, by), by)), None)
    named = selection.arguments.get("list", "")
    run = Run(
        list_name=selection.of.name,
        title=list_named(named) if selection.ids is None else "",
        by_user_id=by.id,
        company_id=company.id,
        of_customers=True,
        promotional=True,
        template_id=template.id if template is not None else None,
    )
    return _begun(run, ids)


def choose_promotional(run: Run, *, promotional: bool) -> None:
    """Say whether a mailing advertises, and goes only to who has opted in, or is a service email.

    Raises:
        UserError: It has begun.
    """
    with transaction():
        locked = _locked(run.id)
        _demand(locked, RunState.DRAFT)
        if not locked.of_customers or locked.promotional == promotional:
            return
        locked.promotional = promotional
        _look_again(locked.id, RunItem.state.in_([ItemState.READY, ItemState.HELD]))
    _look_soon(run.id)


def send_test(run: Run, item: RunItem, by: User) -> OutgoingMail:
    """Send what a customer of a mailing would get to the person who asks, and to nobody else.

    Raises:
        UserError: There is no mail to this customer.
    """
    draft = preview(run, item, by)
    draft.subject = str(gettext("[Test] %(subject)s", subject=draft.subject))[:MAX_SUBJECT_LENGTH]
    draft.recipients = [DraftRecipient(Address(normalize(by.login), by.name), reason=Reason.COLLEAGUE)]
    # The link to unsubscribe is the customer's: nobody else gets it.
    return service.submit(replace(draft, promotional=False, purpose=Purpose.SINGLE), by)


def preview(run: Run, item: RunItem, user: User) -> MailDraft:
    """Return the mail that a customer of a mailing would get.

    Raises:
        UserError: There is none.
    """
    sender = run.by_user or user
    try:
        return draft_of(item, facts_of([item], sender), run, sender)[0]
    except HeldError as held:
        raise UserError(held.detail or _l("There is no email to this customer.")) from held


def neighbors(run: Run, user: User, item: RunItem | None = None) -> tuple[int | None, int | None]:
    """Return the ids of the items before and after one that would get an email too; without one, the first of all."""
    ready = items_of(run, user).where(RunItem.state == ItemState.READY).with_only_columns(RunItem.id)
    here = item.id if item is not None else 0
    before = db.session.scalar(ready.where(RunItem.id < here).order_by(RunItem.id.desc()).limit(1))
    after = db.session.scalar(ready.where(RunItem.id > here).order_by(RunItem.id).limit(1))
    return before, after


def templates_of(run: Run) -> list[tuple[int, str]]:
    """Return id and name of the templates that may be chosen for all documents of a run; none where they differ."""
    if run.of_customers:
        writer = run.by_user
        if run.company is None or writer is None:
            return []
        offered = templates_for(CustomerMail(run.company, writer), writer)
        return [(row.id, str(gettext(row.name))) for row in offered]
    if run.packs:
        return choices_for(run.company, kind=DOCUMENTS) if run.company is not None else []
    kinds = list(
        db.session.scalars(
            select(Document.kind)
            .where(Document.id.in_(select(RunItem.document_id).where(RunItem.run_id == run.id).limit(50)))
            .distinct()
        )
    )
    if len(kinds) != 1 or run.company is None:
        return []
    return choices_for(run.company, kind=kinds[0])


def _locked(run_id: int) -> Run:
    """Return a run as it is now, locked until the transaction ends."""
    return db.session.get_one(Run, run_id, with_for_update=True, populate_existing=True)


def _demand(run: Run, *states: RunState) -> None:
    if run.state not in states:
        raise UserError(_l("This has been started, or stopped, meanwhile. Reload the page to see it."))


def choose_template(run: Run, template_id: int | None) -> None:
    """Let all documents of a run be written by one template, or each by the one that applies to it.

    Raises:
        UserError: The template is none of those offered, or the run has begun.
    """
    if template_id is not None and template_id not in dict(templates_of(run)):
        raise UserError(_l("This template no longer exists."), "template")
    with transaction():
        locked = _locked(run.id)
        _demand(locked, RunState.DRAFT, RunState.PAUSED)
        if locked.template_id != template_id:
            locked.template_id = template_id
            # What was held for its template is looked at again, and so is what would have been broken by another.
            _look_again(locked.id, RunItem.state.in_([ItemState.READY, ItemState.HELD]))
        if locked.state is RunState.PAUSED:
            _remember_template(locked)
    _look_soon(run.id)


def _remember_template(run: Run) -> None:
    template = db.session.get(MailTemplate, run.template_id) if run.template_id is not None else None
    run.template_revision = template.revision if template is not None else 0


def _look_again(run_id: int, *conditions: ColumnElement[bool]) -> None:
    with transaction() as session:
        session.execute(
            update(RunItem)
            .where(RunItem.run_id == run_id, *conditions)
            .values(state=ItemState.UNCHECKED, reason=None, detail="", bundle="")
        )
        session.expire_all()


def look_anew(run: Run, *conditions: ColumnElement[bool]) -> None:
    """Look through some items of a run again, since what they would get has changed."""
    _look_again(run.id, *conditions)
    _look_soon(run.id)


def _look_soon(run_id: int) -> None:
    """Look at the first items at once, and leave the others to a worker."""
    if not looking.look(run_id, LOOKED_AT_ONCE):
        with transaction():
            enqueue_after_commit("outbox.run", run_id)


# -- one document ------------------------------------------------------------------------------------------


def _open_item(item: RunItem) -> RunItem:
    """Return an item as it is now, locked, of a run that still waits for decisions.

    Raises:
        UserError: It was sent meanwhile, or the run has ended.
    """
    run = _locked(item.run_id)
    _demand(run, RunState.DRAFT, RunState.PAUSED, RunState.RUNNING)
    row = db.session.get_one(RunItem, item.id, with_for_update=True, populate_existing=True)
    if row.state is ItemState.SUBMITTED:
        raise UserError(_l("This document has been sent meanwhile."))
    return row


def together_with(item: RunItem, run: Run, user: User) -> list[RunItem]:
    """Return an item with those that go, or are held, in one mail with it, and that the user may read."""
    if not item.bundle:
        return [item]
    same = items_of(run, user).where(RunItem.bundle == item.bundle, RunItem.bundle != NO_BUNDLE)
    return list(db.session.scalars(same.order_by(RunItem.id)))


def leave_out(*items: RunItem, out: bool = True) -> None:
    """Leave documents out, or take them back in.

    Raises:
        UserError: It was sent meanwhile, or the run has ended.
    """
    bundles = set()
    with transaction():
        for item in items:
            row = _open_item(item)
            if out:
                bundles.add(row.bundle)
                row.state, row.reason, row.detail, row.bundle = ItemState.LEFT_OUT, None, "", ""
            elif row.state is ItemState.LEFT_OUT:
                row.state = ItemState.UNCHECKED
    if bundles - {NO_BUNDLE}:
        # One that was held for going with others may be alone now.
        held = RunItem.reason == HeldReason.NO_TEMPLATE
        look_anew(items[0].run, RunItem.bundle.in_(bundles - {NO_BUNDLE}), held)
    _look_at(items)


def _look_at(items: Sequence[RunItem]) -> None:
    looking.look(items[0].run_id, len(items), [item.id for item in items])


_WISHES = (HeldReason.OPTED_OUT, HeldReason.WANTS_PAPER)
"""What a customer does not want."""


def send_anyway(*items: RunItem) -> None:
    """Send documents although they were sent before, have changed, go to others now, or somebody wants no mails.

    The yes is one to what the page has said, and to nothing else: the documents are looked through again.

    Raises:
        UserError: It was sent meanwhile, or the run has ended.
    """
    with transaction():
        for item in items:
            row = _open_item(item)
            row.anyway = row.anyway or row.reason is HeldReason.SENT_BEFORE
            row.despite_opt_out = row.despite_opt_out or row.reason in _WISHES
            row.state, row.reason, row.detail = ItemState.UNCHECKED, None, ""
    _look_at(items)


def choose(
    item: RunItem,
    addresses: Sequence[str],
    by: User,
    *,
    keep: bool = False,
    also: Sequence[RunItem] = (),
) -> None:
    """Send the document of an item to other addresses than the usual ones.

    Args:
        item: The item.
        addresses: Chosen or typed; at least one.
        by: Who chooses.
        keep: True to keep the first address with the customer as well, where `by` may change that one.
        also: Items of the same customer for which it holds as well.

    Raises:
        UserError: An address is invalid, none is given, or the item was sent meanwhile.
    """
    wanted = list(dict.fromkeys(normalize(text) for text in addresses if text.strip()))
    if not wanted:
        raise UserError(_l("Type an address."), "address")
    document = get_readable(by, item.document_id) if item.document_id is not None else None
    with transaction():
        for one in {row.id: row for row in (item, *also)}.values():
            row = _open_item(one)
            row.encrypted_choice = encrypted_choice(wanted)
            row.state, row.reason, row.detail = ItemState.UNCHECKED, None, ""
        if keep and document is not None and document.partner_id is not None:
            _keep(document, wanted[0], by)
            # Other documents of the customer lacked the same address.
            same = select(Document.id).where(Document.partner_id == document.partner_id)
            _look_again(item.run_id, RunItem.state == ItemState.HELD, RunItem.document_id.in_(same))
    looking.look(item.run_id, max(LOOKED_AT_ONCE, len(also)))


def _keep(document: Document, address: str, by: User) -> None:
    """Keep an address with the customer of a document: as its own where it has none, else as that of a contact."""
    partner = partner_for(by, document.partner_id or 0, EDIT_PARTNERS, company_id=document.company_id)
    if partner is None:
        return
    if not partner.email:
        save_partner(partner, {"email": address})
        note_change(partner, by.id)
        return
    known = {person.email.casefold() for person in (partner, *partner.contacts)}
    if address.casefold() not in known:
        try:
            save_contact(partner, "", address)
        except ContactExistsError:
            return


# -- the whole ---------------------------------------------------------------------------------------------


def start(run: Run, by: User, *, not_before: dt.datetime | None = None) -> None:
    """Let the mails of a run be written, now or from a moment on. Started twice, it is started once.

    Raises:
        UserError: It is not looked through yet, nothing would be sent, the moment has passed, or it is
            somebody else's.
    """
    now = clock.now()
    if not_before is not None and not now < not_before <= now + LONGEST_AHEAD:
        raise UserError(_l("Choose a moment within a year."), "not_before")
    with transaction():
        locked = _locked(run.id)
        if locked.state is RunState.RUNNING:
            return
        _demand(locked, RunState.DRAFT)
        if locked.by_user_id != by.id:
            raise UserError(_l("Whoever has prepared it starts it: it is sent in their name."))
        if locked.text_draft:
            raise UserError(
                _l("You have written something that is not saved. Save it, or go back to what was saved.")
            )
        if locked.to_add is not None or _has(locked.id, ItemState.UNCHECKED):
            raise UserError(_l("It is still being looked through. Wait a moment."))
        if not _has(locked.id, ItemState.READY):
            raise UserError(_l("Nothing would be sent."))
        _remember_template(locked)
        locked.state, locked.started_at, locked.not_before = RunState.RUNNING, now, not_before
        locked.touched_at, locked.paused_why = now, ""
        enqueue_after_commit("outbox.run", locked.id, at=not_before)


def _has(run_id: int, state: ItemState) -> bool:
    query = select(RunItem.id).where(RunItem.run_id == run_id, RunItem.state == state).limit(1)
    return db.session.scalar(query) is not None


def pause(run: Run) -> None:
    """Write no more mails of a run for now; those that are on the queue still leave."""
    with transaction():
        locked = _locked(run.id)
        if locked.state is RunState.RUNNING:
            locked.state, locked.paused_why = RunState.PAUSED, ""


def go_on(run: Run) -> None:
    """Go on with a run that is paused.

    Raises:
        UserError: The template that was chosen is gone: another one is to be chosen first.
    """
    with transaction() as session:
        locked = _locked(run.id)
        if locked.state is not RunState.PAUSED:
            return
        if locked.template_id is not None and session.get(MailTemplate, locked.template_id) is None:
            raise UserError(_l("The template is gone. Choose another one first."), "template")
        _remember_template(locked)
        if (locked.template_id is None or locked.packs) and locked.paused_why == writing.TEMPLATE_CHANGED:
            # By which template each goes now, and whether it can be, is found again.
            _look_again(locked.id, RunItem.state == ItemState.READY)
        locked.state, locked.paused_why, locked.touched_at = RunState.RUNNING, "", clock.now()
        enqueue_after_commit("outbox.run", locked.id)


def stop(run: Run, by: User) -> int:
    """Stop a run for good: no more mails are written, and those that have not left are canceled.

    Returns:
        How many mails were canceled at once; what is more, a worker cancels.
    """
    with transaction():
        locked = _locked(run.id)
        if locked.state in {RunState.STOPPED, RunState.DONE}:
            return 0
        locked.state, locked.touched_at = RunState.STOPPED, clock.now()
        enqueue_after_commit("outbox.run", locked.id)
    return len(work.cancel_some(run.id, by))


def resend_failed(run: Run, by: User) -> int:
    """Put those mails of a run on the queue again that somebody did not get; return how many.

    Uncertain ones are left alone: whether they are sent again is decided one by one.
    """
    failed = (
        select(OutgoingMail.id)
        .where(
            OutgoingMail.run_id == run.id,
            OutgoingMail.state.in_([MailState.FAILED, MailState.PARTIAL]),
            within_reach(
                by,
                "outbox.mail.resend",
                owner=OutgoingMail.submitted_by_id,
                company=OutgoingMail.company_id,
            ),
        )
        .order_by(OutgoingMail.id)
    )
    done = 0
    ids = list(db.session.scalars(failed))
    for start in range(0, len(ids), work.CANCELED_AT_ONCE):
        done += len(service.resend(ids[start : start + work.CANCELED_AT_ONCE], by=by, uncertain=False))
    return done


def name_of(run: Run) -> str:
    """Return what a run is called: where its documents were selected, and how many they are."""
    from_list = run.title or telling.title_of_list(run.list_name)
    return str(gettext("%(list)s: %(count)s", list=from_list, count=run.item_count))
