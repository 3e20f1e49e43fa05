"""What is chosen for a whole run: how its documents go together, what it is, and its template."""

from __future__ import annotations

from flask_babel import gettext
from sqlalchemy import select

from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.mail_config.mail_templates.selection import choices_for
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CustomerMail
from modules.mail_config.template_language.documents_mail import DOCUMENTS
from modules.outbox.models import Packing, Run, RunItem, RunState
from modules.outbox.runs.service.rows import demand, locked_run, look_again, look_soon


def choose_packing(run: Run, packing: Packing) -> None:
    """Say whether each document goes in a mail of its own, or those of a customer together.

    Raises:
        UserError: It has begun.
    """
    with transaction():
        locked = locked_run(run.id)
        demand(locked, RunState.DRAFT)
        if locked.of_customers or locked.packing is packing:
            return
        if Packing.EACH in {locked.packing, packing}:
            locked.template_id = None  # one for a document is none for several
        locked.packing = packing
        look_again(locked.id)
    look_soon(run.id)


def choose_promotional(run: Run, *, promotional: bool) -> None:
    """Say whether a mailing advertises, and goes only to who has opted in, or is a service email.

    Raises:
        UserError: It has begun.
    """
    with transaction():
        locked = locked_run(run.id)
        demand(locked, RunState.DRAFT)
        if not locked.of_customers or locked.promotional == promotional:
            return
        locked.promotional = promotional
        look_again(locked.id)
    look_soon(run.id)


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


def choose_template(run: Run, template_id: int | None) -> None:
    """Let all documents of a run be written by one template, or each by the one that applies to it.

    Raises:
        UserError: The template is none of those offered, or the run has begun.
    """
    if template_id is not None and template_id not in dict(templates_of(run)):
        raise UserError(_l("This template no longer exists."), "template")
    with transaction():
        locked = locked_run(run.id)
        demand(locked, RunState.DRAFT, RunState.PAUSED)
        if locked.template_id != template_id:
            locked.template_id = template_id
            # What was held for its template is looked at again, and so is what would have been broken by another.
            look_again(locked.id)
        if locked.state is RunState.PAUSED:
            remember_template(locked)
    look_soon(run.id)


def remember_template(run: Run) -> None:
    """Write down which revision of its template a run goes by: when that changes, it pauses."""
    template = db.session.get(MailTemplate, run.template_id) if run.template_id is not None else None
    run.template_revision = template.revision if template is not None else 0
