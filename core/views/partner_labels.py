"""The lists that customers and contacts are sorted by: families, tags and function codes."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from wtforms import BooleanField, SelectChoice, SelectField, SelectMultipleField, StringField

from core.auth.permissions import requires
from core.db import db
from core.i18n import lazy_gettext as _l
from core.partners.labels import LabelColor, LabelKind, PartnerLabel, save_label
from core.registry import current_registry
from core.views.blueprint import blueprint
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, record_form

EDIT = "core.company.edit"

TITLES = {
    LabelKind.FAMILY: _l("Families"),
    LabelKind.TAG: _l("Tags"),
    LabelKind.FUNCTION: _l("Function codes"),
}
NEW_TITLES = {
    LabelKind.FAMILY: _l("New family"),
    LabelKind.TAG: _l("New tag"),
    LabelKind.FUNCTION: _l("New function code"),
}
COLOR_TITLES = {
    LabelColor.GRAY: _l("Gray"),
    LabelColor.BLUE: _l("Blue"),
    LabelColor.GREEN: _l("Green"),
    LabelColor.AMBER: _l("Amber"),
    LabelColor.RED: _l("Red"),
    LabelColor.VIOLET: _l("Violet"),
}


class LabelForm(RecordForm):
    """A family."""

    name = StringField(_l("Name"), [*required(), at_most(80)])
    active = BooleanField(
        _l("Active"), default=True, description=_l("Can be given to customers and contacts.")
    )


class TagForm(LabelForm):
    """A tag."""

    color = SelectField(
        _l("Color"),
        choices=[SelectChoice(color.value, title) for color, title in COLOR_TITLES.items()],
        default=LabelColor.GRAY.value,
    )


class FunctionForm(LabelForm):
    """A function code."""

    code = StringField(_l("Code"), [*required(), at_most(16)], description=_l("Short, such as FACT or LIV"))
    document_kinds = SelectMultipleField(
        _l("Only for"),
        description=_l("Kinds of documents that the code is limited to; none for all."),
        render_kw={"data-search": ""},
    )


_FORMS: dict[LabelKind, type[LabelForm]] = {
    LabelKind.FAMILY: LabelForm,
    LabelKind.TAG: TagForm,
    LabelKind.FUNCTION: FunctionForm,
}


def _kind_titles() -> dict[str, str]:
    return {name: gettext(kind.title) for name, kind in current_registry().kinds.items()}


def _form(kind: LabelKind, row: PartnerLabel | None, **how: None) -> LabelForm:
    form = _FORMS[kind](obj=row, **how)
    if isinstance(form, FunctionForm):
        known = _kind_titles()
        # Those of a module that is disabled at the moment stay.
        more = [name for name in (row.document_kinds if row is not None else []) if name not in known]
        form.document_kinds.choices = [
            *(SelectChoice(name, title) for name, title in known.items()),
            *(SelectChoice(name, name) for name in more),
        ]
    return form


def _save(kind: LabelKind, row: PartnerLabel | None, form: LabelForm) -> PartnerLabel:
    return save_label(row, kind, {name: value for name, value in form.data.items() if name != "csrf_token"})


@blueprint.get("/partner-labels")
@requires(EDIT)
def partner_labels() -> ResponseReturnValue:
    """Show the three lists."""
    rows = db.session.scalars(select(PartnerLabel).order_by(PartnerLabel.code, PartnerLabel.name)).all()
    return render_template(
        "core/partners/labels.html",
        lists=[
            (kind, TITLES[kind], NEW_TITLES[kind], [row for row in rows if row.kind is kind])
            for kind in TITLES
        ],
        kind_titles=_kind_titles(),
    )


@blueprint.route("/partner-labels/new", methods=["GET", "POST"])
@requires(EDIT)
def partner_label_new() -> ResponseReturnValue:
    """Add to a list, that of the families unless the address says another."""
    named = request.args.get("of", "")
    of = LabelKind(named) if named in list(LabelKind) else LabelKind.FAMILY
    form = _form(of, None)
    if submit(form, lambda: _save(of, None, form)):
        return redirect(url_for("core.partner_labels"))
    return render_template("core/form.html", form=form, title=NEW_TITLES[of], crumbs=_crumbs())


@blueprint.route("/partner-labels/<int:label_id>", methods=["GET", "POST"])
@requires(EDIT)
def partner_label(label_id: int) -> ResponseReturnValue:
    """Change an entry of a list."""
    row = db.session.get(PartnerLabel, label_id) or abort(404)
    form = record_form(row, partial(_form, row.kind, row))
    if submit(form, lambda: _save(row.kind, row, form)):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.partner_labels"))
    return render_template("core/form.html", form=form, title=row.title, crumbs=_crumbs())


def _crumbs() -> list[tuple[str, str]]:
    return [(gettext("Families, tags and function codes"), url_for("core.partner_labels"))]
