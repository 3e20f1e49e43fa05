"""What is done to all selected quotations, invoices and credit notes: confirm, post."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.i18n import gettext, ngettext
from core.selection import Selection, list_or_404, read_selection
from modules.sales import queries
from modules.sales.models import Invoice, Order
from modules.sales.service.many import Outcome, confirm_each, post_each
from modules.sales.tables import POSTED_IN
from modules.sales.views.blueprint import blueprint

AT_ONCE = 500
"""Documents that one request confirms or posts: some hundredths of a second each."""
TOLD = 5
"""Of those that were refused, so many are named."""


def list_actions(of: str, name: str) -> str:  # noqa: ARG001 (the keywords of the slot)
    """Return the buttons above the lists of quotations, invoices and credit notes."""
    if not signed_in_user().can(queries.EDIT):
        return ""
    return render_template("sales/_list_actions.html", name=name, posted=name in POSTED_IN)


def _back(name: str) -> ResponseReturnValue:
    query = request.form.get("criteria", "")[:2000]
    return redirect(url_for(name) + (f"?{query}" if query else ""))


@blueprint.post("/quotations/confirm")
@requires(queries.EDIT)
def quotations_confirm() -> ResponseReturnValue:
    """Confirm the selected quotations."""
    user = signed_in_user()
    selection = read_selection(list_or_404("sales.quotations", user))

    def act(ids: Sequence[int]) -> Outcome:
        return confirm_each(queries.editable(user, Order, ids), user)

    return _each(
        selection,
        act,
        lambda count: ngettext(
            "%(num)d quotation was confirmed.", "%(num)d quotations were confirmed.", count
        ),
    )


@blueprint.post("/invoices/post")
@requires(queries.EDIT)
def invoices_post() -> ResponseReturnValue:
    """Post the selected drafts of invoices or credit notes."""
    user = signed_in_user()
    name = request.form.get("list", "")
    selection = read_selection(list_or_404(name if name in POSTED_IN else "", user))

    def act(ids: Sequence[int]) -> Outcome:
        return post_each(queries.editable(user, Invoice, ids), user)

    return _each(
        selection,
        act,
        lambda count: ngettext("%(num)d document was issued.", "%(num)d documents were issued.", count),
    )


def _each(
    selection: Selection, act: Callable[[Sequence[int]], Outcome], words: Callable[[int], str]
) -> ResponseReturnValue:
    ids = selection.row_ids(signed_in_user(), AT_ONCE + 1)
    if len(ids) > AT_ONCE:
        flash(gettext("%(most)s documents at once at most. Select fewer.", most=AT_ONCE), "warning")
        return _back(selection.of.name)
    outcome = act(ids)
    left = len(ids) - outcome.done - len(outcome.refused)
    if not ids:
        flash(gettext("Select at least one line first."), "warning")
    elif outcome.done:
        flash(words(outcome.done), "success")
    for number, why in outcome.refused[:TOLD]:
        flash(gettext("%(number)s: %(why)s", number=number or gettext("Draft"), why=why), "warning")
    more = len(outcome.refused) - TOLD
    if more > 0:
        flash(
            ngettext(
                "%(num)d more was refused: open it to see why.",
                "%(num)d more were refused: open them to see why.",
                more,
            ),
            "warning",
        )
    if left:
        flash(
            ngettext(
                "%(num)d was left alone: you may not change it.",
                "%(num)d were left alone: you may not change them.",
                left,
            ),
            "warning",
        )
    return _back(selection.of.name)
