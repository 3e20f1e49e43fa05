"""Mailings: customers chosen by criteria, picked between what is found and what is selected, kept as lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from flask_wtf import FlaskForm
from markupsafe import Markup
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import joinedload
from werkzeug.datastructures import MultiDict
from wtforms import RadioField, SelectChoice, StringField

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.partners.lists import service
from core.partners.lists.criteria import HOW_TITLES, How, criterion_of, usable, values_of
from core.partners.lists.models import ListKind, PartnerList
from core.partners.models import MailConsent, Partner
from core.partners.reach import EDIT, READ
from core.pickers import ReachField
from core.selection import list_or_404, posted_ids, read_selection
from core.views.blueprint import blueprint
from core.web.criteria import Criteria, ListSpec, Narrowed, SortKey
from core.web.forms import at_most, required, submit
from core.web.listing import ListPage, paginate
from core.web.record_form import RecordForm, Shown, record_form

FEW = 5000
"""So few rows are sorted; of more, the first are found by walking the index of names."""
KIND_TITLES = {ListKind.DYNAMIC: _l("Dynamic"), ListKind.FIXED: _l("Fixed")}
_KEPT = ("criterion", "pane", "after", "before")  # of the address, when something was done


class ListForm(RecordForm):
    """The name of a list, and whose it is."""

    name = StringField(_l("Name"), [*required(), at_most(service.MAX_NAME)])
    reach = ReachField(_l("Visible to"), description=_l("Who may use this list"))


class SaveForm(ListForm):
    """A new list of what is chosen."""

    kind = RadioField(
        _l("What is kept"),
        choices=[
            SelectChoice(ListKind.DYNAMIC.value, _l("Dynamic: the criteria, asked again at each use")),
            SelectChoice(ListKind.FIXED.value, _l("Fixed: those who are selected now")),
        ],
        default=ListKind.FIXED.value,
    )


@dataclass(frozen=True, slots=True)
class Pane:
    """Who was found, or is selected, a page of them.

    Attributes:
        name: `found` or `selected`.
        page: The rows.
        counts: How many they are.
    """

    name: str
    page: ListPage[Partner]
    counts: service.Counts


def _pane(name: str, condition: ColumnElement[bool], criterion: str) -> Pane:
    counts = service.count(condition)

    def narrow(statement: Any, _criteria: Criteria, _sort: SortKey) -> Narrowed:
        return Narrowed(statement, few=counts.total <= FEW)

    spec = ListSpec(
        identity=Partner.id,
        sorts=(SortKey("name", N_("Name"), Partner.name, lambda row: row.name),),
        narrow=narrow,
    )
    page = paginate(
        select(Partner).where(condition).options(joinedload(Partner.parent)),
        spec,
        extra={"pane": name, "criterion": criterion},
        # Of the two panes, the address turns the pages of one.
        arguments=request.args if request.args.get("pane") == name else MultiDict(),
    )
    return Pane(name, page, counts)


def _criterion_form(name: str) -> FlaskForm:
    return criterion_of(usable(signed_in_user())[name]).form()


def _save_form() -> SaveForm:
    user = signed_in_user()
    form = SaveForm(reach=ReachField.text_of(company_id=None, owner_id=user.id))
    form.reach.offer(user)
    return form


def _show(criterion: str = "", form: FlaskForm | None = None, saving: SaveForm | None = None) -> str:
    user = signed_in_user()
    known = usable(user)
    name = criterion or request.args.get("criterion", "")
    if name not in known:
        name = next(iter(known))
    working = service.working_list(user)
    lists = service.readable_lists(user)
    return render_template(
        "core/partners/lists.html",
        criteria=known.values(),
        criterion=name,
        form=form or _criterion_form(name),
        how_titles=HOW_TITLES,
        steps=[(step, step.words(user), step.lost(user)) for step in service.steps_of(working)],
        found=_pane("found", service.found_by(working, user), name),
        selected=_pane("selected", service.selected_of(working, user), name),
        promotional=MailConsent.PROMOTIONAL,
        working=working,
        saving=saving or _save_form(),
        opened=saving is not None,
        lists=[_said(row, user) for row in lists],
        kind_titles=KIND_TITLES,
        back=request.query_string.decode("ascii", "ignore") if request.method == "GET" else "",
    )


def _said(row: PartnerList, user: User) -> dict[str, Any]:
    """Return what the page says of a saved list."""
    steps = service.steps_of(row)
    return {
        "row": row,
        "words": "; ".join(f"{HOW_TITLES[step.how]} – {step.words(user)}" for step in steps),
        "lost": any(step.lost(user) for step in steps),
        "editable": service.list_for(user, row.id, EDIT) is not None,
    }


def _go_back() -> ResponseReturnValue:
    """Lead back to the page as it was, so far as it goes on being there."""
    given = dict(parse_qsl(request.form.get("back", "")[:1000]))
    kept: dict[str, Any] = {name: given[name] for name in _KEPT if name in given}
    return redirect(url_for("core.partner_lists", **kept))


@blueprint.get("/partner-lists")
@requires(READ)
def partner_lists() -> ResponseReturnValue:
    """Choose customers to write to, and show the lists that are kept."""
    return _show()


@blueprint.post("/partner-lists/criteria")
@requires(READ)
def partner_list_criterion_add() -> ResponseReturnValue:
    """Let a criterion add to what is found, or take from it."""
    user, name = signed_in_user(), request.form.get("criterion", "")
    if name not in usable(user):
        abort(404)
    try:
        how = How(request.form.get("how", ""))
    except ValueError:
        how = How.ADD
    form = _criterion_form(name)
    if submit(form, lambda: service.add_step(user, name, how, values_of(form))):
        return redirect(url_for("core.partner_lists", criterion=name))
    return _show(name, form), 422


@blueprint.post("/partner-lists/criteria/remove")
@requires(READ)
def partner_list_criterion_remove() -> ResponseReturnValue:
    """Remove a criterion."""
    service.remove_step(signed_in_user(), request.form.get("key", ""))
    return _go_back()


@blueprint.post("/partner-lists/move")
@requires(READ)
def partner_list_move() -> ResponseReturnValue:
    """Select some who were found or all of them, or some of the selected no more, or nobody."""
    user, ids = signed_in_user(), posted_ids()
    match request.form.get("move"):
        case "pick":
            service.pick(user, ids)
        case "pick_all":
            service.pick(user)
        case "drop":
            service.drop(user, ids)
        case "drop_all":
            service.drop(user)
        case _:
            abort(400)
    return _go_back()


@blueprint.post("/partner-lists/reset")
@requires(READ)
def partner_list_reset() -> ResponseReturnValue:
    """Begin anew."""
    service.reset(signed_in_user())
    return redirect(url_for("core.partner_lists"))


@blueprint.post("/partner-lists/save")
@requires(READ)
def partner_list_save() -> ResponseReturnValue:
    """Save what is chosen under a name."""
    user, form = signed_in_user(), _save_form()

    def save() -> None:
        row = service.save(user, form.name.data or "", ListKind(form.kind.data), **form.reach.columns)
        flash(gettext("The list “%(name)s” was saved.", name=row.name), "success")

    if submit(form, save):
        return redirect(url_for("core.partner_lists"))
    return _show(saving=form), 422


def _list_or_404(list_id: int, permission: str = READ) -> PartnerList:
    row = service.list_for(signed_in_user(), list_id, permission)
    return row if row is not None and row.kind is not ListKind.WORKING else abort(404)


@blueprint.post("/partner-lists/<int:list_id>/open")
@requires(READ)
def partner_list_open(list_id: int) -> ResponseReturnValue:
    """Take a saved list to what is being chosen."""
    service.open_list(signed_in_user(), _list_or_404(list_id))
    return redirect(url_for("core.partner_lists"))


@blueprint.post("/partner-lists/<int:list_id>/delete")
@requires(READ)
def partner_list_delete(list_id: int) -> ResponseReturnValue:
    """Delete a saved list."""
    row = _list_or_404(list_id, EDIT)
    name = row.name
    service.delete_list(row)
    flash(gettext("The list “%(name)s” was deleted.", name=name), "success")
    return redirect(url_for("core.partner_lists"))


@blueprint.route("/partner-lists/<int:list_id>", methods=["GET", "POST"])
@requires(READ)
def partner_list(list_id: int) -> ResponseReturnValue:
    """Change the name of a list, and whose it is."""
    row, user = _list_or_404(list_id, EDIT), signed_in_user()
    form = record_form(row, partial(_list_form, row))

    def save() -> None:
        row.name = service.checked_name(user, form.name.data or "", row)
        for column, value in form.reach.columns.items():
            setattr(row, column, value)

    if submit(form, save):
        flash(gettext("The list “%(name)s” was saved.", name=row.name), "success")
        return redirect(url_for("core.partner_lists"))
    crumbs = [(gettext("Mailings"), url_for("core.partner_lists"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)


def _list_form(row: PartnerList, **how: None) -> ListForm:
    reach = ReachField.text_of(company_id=row.company_id, owner_id=row.owner_id)
    form = ListForm(obj=Shown(row, reach=reach), **how)
    form.reach.offer(signed_in_user(), present=row.owner)
    form.reach.keep(row.company)
    return form


@blueprint.post("/partner-lists/from/<name>")
@requires(READ)
def partner_list_add(name: str) -> ResponseReturnValue:
    """Select for a mailing what is selected in a list of customers, beside those who are."""
    user = signed_in_user()
    declared = list_or_404(name, user, "partner")
    ids = read_selection(declared).row_ids(user)
    if not ids:
        flash(gettext("Select at least one line first."), "warning")
        return redirect(url_for(declared.name))
    added = service.add_members(user, ids)
    flash(
        ngettext(
            "%(num)d more is selected. Save the selection as a list, or write to it.",
            "%(num)d more are selected. Save the selection as a list, or write to it.",
            added,
        ),
        "success",
    )
    return redirect(url_for("core.partner_lists"))


def add_selected(of: str, name: str) -> Markup:
    """Return the button that selects for a mailing what is selected in a list of customers."""
    if of != "partner" or not signed_in_user().can(READ):
        return Markup("")
    return Markup(render_template("core/partners/_to_list.html", name=name))  # noqa: S704 (our own template)
