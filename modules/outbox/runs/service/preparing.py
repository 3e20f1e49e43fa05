"""Runs are made of what is selected in a list."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from core.auth.models import User
from core.companies.service import current_company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit
from core.partners.lists.service import list_named
from core.selection import Selection
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.outbox.models import Packing, Run
from modules.outbox.runs import filling, looking
from modules.outbox.runs.service.rows import LOOKED_AT_ONCE

READ_AT_ONCE = 2000
"""Documents that one query asks about."""


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
