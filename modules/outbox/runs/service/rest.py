"""What is left of a run: the rest of one that was stopped is prepared anew, and one that nobody starts is discarded."""

from __future__ import annotations

from sqlalchemy import delete, insert, literal, or_, select

from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.outbox.models import RUN_ITEMS, ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import filling
from modules.outbox.runs.service.reach import items_of
from modules.outbox.runs.service.rows import demand, locked_run, look_soon
from modules.outbox.states import MailState

_WITHOUT_MAIL = (ItemState.READY, ItemState.HELD, ItemState.UNCHECKED)


def send_rest(run: Run, by: User) -> Run:
    """Make a run of what has not left of one that was stopped, with the addresses that were chosen for it.

    What a person had left out stays left out. Nothing is sent before somebody presses Start.

    Raises:
        UserError: It has not come to its end, or nothing is left.
    """
    canceled = select(OutgoingMail.id).where(
        OutgoingMail.run_id == run.id, OutgoingMail.state == MailState.CANCELED
    )
    rest = or_(RunItem.state.in_(_WITHOUT_MAIL), RunItem.mail_id.in_(canceled))
    with transaction() as session:
        former = locked_run(run.id)
        demand(former, RunState.STOPPED)
        if former.ended_at is None:
            raise UserError(_l("It is still being stopped. Wait a moment."))
        made = Run(
            list_name=former.list_name,
            title=former.title,
            by_user_id=by.id,
            company_id=former.company_id,
            of_customers=former.of_customers,
            packing=former.packing,
            promotional=former.promotional,
            template_id=former.template_id,
            to_add=former.to_add,
        )
        session.add(made)
        session.flush()
        kept = ("document_id", "partner_id", "company_id", "encrypted_choice")
        columns = [getattr(RunItem, name) for name in kept]
        some = (
            items_of(run, by)
            .where(rest)
            .order_by(RunItem.id)
            .with_only_columns(
                literal(made.id),
                *columns,
                literal(ItemState.UNCHECKED.value),
                literal(0),
                literal(""),
                literal(False),
            )
        )
        names = ["run_id", *kept, "state", "revision", "detail", "anyway"]
        count = session.connection().execute(insert(RUN_ITEMS).from_select(names, some)).rowcount
        made.item_count = count + len(filling.unpacked(former.to_add))
        if not made.item_count:
            raise UserError(_l("Nothing would be sent."))
        made_id = made.id
    filling.add_some(made_id)
    look_soon(made_id)
    return db.session.get_one(Run, made_id)


def discard(run: Run) -> None:
    """Discard a run that nobody has started, with all that was chosen for it.

    Raises:
        UserError: It has been started meanwhile.
    """
    with transaction() as session:
        locked = locked_run(run.id)
        demand(locked, RunState.DRAFT)
        session.execute(delete(RunItem).where(RunItem.run_id == locked.id))
        session.delete(locked)
