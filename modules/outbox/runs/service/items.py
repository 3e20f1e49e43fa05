"""Decisions about one document of a run, or those that go with it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from core.auth.models import User
from core.db import db, transaction
from core.db.changes import note_change
from core.documents.models import Document
from core.documents.service import get_readable
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize
from core.partners.reach import EDIT as EDIT_PARTNERS
from core.partners.reach import partner_for
from core.partners.service import ContactExistsError, save_contact, save_partner
from modules.outbox.models import NO_BUNDLE, HeldReason, ItemState, Run, RunItem, RunState
from modules.outbox.private_addresses import encrypted_choice
from modules.outbox.runs import looking
from modules.outbox.runs.service.rows import (
    LOOKED_AT_ONCE,
    demand,
    locked_run,
    look_again,
    look_anew,
    look_soon,
)

_WISHES = (HeldReason.OPTED_OUT, HeldReason.WANTS_PAPER)
"""What a customer does not want."""


def _open_item(item: RunItem) -> RunItem:
    """Return an item as it is now, locked, of a run that still waits for decisions.

    Raises:
        UserError: It was sent meanwhile, or the run has ended.
    """
    run = locked_run(item.run_id)
    demand(run, RunState.DRAFT, RunState.PAUSED, RunState.RUNNING)
    row = db.session.get_one(RunItem, item.id, with_for_update=True, populate_existing=True)
    if row.state is ItemState.SUBMITTED:
        raise UserError(_l("This document has been sent meanwhile."))
    return row


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
                row.look_again()
    if bundles - {NO_BUNDLE}:
        # One that was held for going with others may be alone now.
        held = RunItem.reason == HeldReason.NO_TEMPLATE
        look_anew(items[0].run, RunItem.bundle.in_(bundles - {NO_BUNDLE}), held)
    _look_at(items)


def send_anyway(*items: RunItem) -> None:
    """Send documents although something speaks against it: they were sent before, an address is dead, and so on.

    The yes is one to what the page has said, and to nothing else: the documents are looked through again.

    Raises:
        UserError: It was sent meanwhile, or the run has ended.
    """
    with transaction():
        for item in items:
            row = _open_item(item)
            row.anyway = row.anyway or row.reason is HeldReason.SENT_BEFORE
            row.despite_opt_out = row.despite_opt_out or row.reason in _WISHES
            row.despite_dead = row.despite_dead or row.reason is HeldReason.DEAD_ADDRESS
            row.look_again()
    _look_at(items)


def look_at_held(run: Run, *items: RunItem) -> None:
    """Look through what is held again, since it was mended elsewhere: some items, or all that are held.

    Raises:
        UserError: The run has ended.
    """
    with transaction():
        demand(locked_run(run.id), RunState.DRAFT, RunState.PAUSED, RunState.RUNNING)
        some = [RunItem.id.in_([item.id for item in items])] if items else []
        look_again(run.id, *some, states=[ItemState.HELD])
    look_soon(run.id)


def _look_at(items: Sequence[RunItem]) -> None:
    looking.look(items[0].run_id, len(items), [item.id for item in items])


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
            row.look_again()
        if keep and document is not None and document.partner_id is not None:
            _keep(document, wanted[0], by)
            # Other documents of the customer lacked the same address.
            same = select(Document.id).where(Document.partner_id == document.partner_id)
            look_again(item.run_id, RunItem.document_id.in_(same), states=[ItemState.HELD])
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
