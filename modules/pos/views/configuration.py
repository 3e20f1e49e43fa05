"""Registers, payment methods, settings, and one's own PIN."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import SelectChoice

from core.auth.permissions import requires, signed_in_user
from core.auth.service import sign_in
from core.auth.throttle import SignInError
from core.companies.service import current_company
from core.db import db
from core.errors import UserError
from core.i18n import gettext
from core.i18n import lazy_gettext as _l
from core.web.forms import submit
from core.web.record_form import Shown, record_form
from modules.pos import queries
from modules.pos.forms import MethodForm, PinForm, RegisterForm, SettingsForm, format_choices
from modules.pos.models import PaymentMethod, Register
from modules.pos.service.cashiers import set_pin
from modules.pos.service.registers import (
    paper_of,
    save_method,
    save_register,
    save_settings,
    settings_of,
    ticket_templates,
)
from modules.pos.states import FORMAT_TITLES, PAYMENT_TITLES, PaymentKind, ReceiptFormat
from modules.pos.views.blueprint import blueprint


def _values(form: FlaskForm) -> dict[str, Any]:
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


@blueprint.get("/registers")
@requires(queries.USE)
def registers() -> ResponseReturnValue:
    """Show the registers, and which of them are open."""
    user = signed_in_user()
    rows = queries.registers_for(user)
    archived = (
        list(db.session.scalars(select(Register).where(~Register.active).order_by(Register.code)))
        if user.can(queries.EDIT)
        else []
    )
    return render_template(
        "pos/registers.html",
        registers=rows,
        archived=archived,
        sessions=queries.open_sessions(),
        papers={row.id: FORMAT_TITLES[paper_of(row)] for row in rows},
    )


def _register_form(row: Register | None, **how: None) -> RegisterForm:
    company_id = row.company_id if row else current_company(signed_in_user()).id
    paper = row.receipt_format.value if row and row.receipt_format else ""
    form = RegisterForm(obj=Shown(row, company_id=company_id, receipt_format=paper), **how)
    form.receipt_format.choices = [
        SelectChoice("", gettext("As the settings of the company say")),
        *format_choices(),
    ]
    return form


def _register_page(row: Register | None) -> ResponseReturnValue:
    form = record_form(row, partial(_register_form, row)) if row is not None else _register_form(None)

    def save() -> None:
        values = _values(form)
        if row is not None and row.company_id != values["company_id"]:
            raise UserError(_l("A till stays with its company."), "company_id")
        paper = ReceiptFormat(values["receipt_format"]) if values["receipt_format"] else None
        save_register(row, {**values, "receipt_format": paper})

    if submit(form, save):
        flash(gettext("%(name)s was saved.", name=form.name.data), "success")
        return redirect(url_for("pos.registers"))
    crumbs = [(gettext("Tills"), url_for("pos.registers"))]
    title = row.name if row is not None else gettext("New till")
    return render_template("core/form.html", form=form, title=title, crumbs=crumbs)


@blueprint.route("/registers/new", methods=["GET", "POST"])
@requires(queries.EDIT)
def register_new() -> ResponseReturnValue:
    """Make a register."""
    return _register_page(None)


@blueprint.route("/registers/<int:register_id>", methods=["GET", "POST"])
@requires(queries.EDIT)
def register(register_id: int) -> ResponseReturnValue:
    """Change a register."""
    return _register_page(db.session.get(Register, register_id) or abort(404))


@blueprint.get("/methods")
@requires(queries.EDIT)
def methods() -> ResponseReturnValue:
    """Show the payment methods."""
    rows = db.session.scalars(select(PaymentMethod).order_by(PaymentMethod.position, PaymentMethod.id))
    return render_template("pos/methods.html", methods=list(rows), titles=PAYMENT_TITLES)


def _method_form(row: PaymentMethod | None, **how: None) -> MethodForm:
    kind = row.kind if row else PaymentKind.CASH
    return MethodForm(obj=Shown(row, kind=kind.value), **how)


def _method_page(row: PaymentMethod | None) -> ResponseReturnValue:
    form = record_form(row, partial(_method_form, row)) if row is not None else _method_form(None)

    def save() -> None:
        values = _values(form)
        save_method(row, {**values, "kind": PaymentKind(values["kind"])})

    if submit(form, save):
        flash(gettext("%(name)s was saved.", name=form.name.data), "success")
        return redirect(url_for("pos.methods"))
    crumbs = [(gettext("Payment methods"), url_for("pos.methods"))]
    title = row.name if row is not None else gettext("New payment method")
    return render_template("core/form.html", form=form, title=title, crumbs=crumbs)


@blueprint.route("/methods/new", methods=["GET", "POST"])
@requires(queries.EDIT)
def method_new() -> ResponseReturnValue:
    """Make a payment method."""
    return _method_page(None)


@blueprint.route("/methods/<int:method_id>", methods=["GET", "POST"])
@requires(queries.EDIT)
def method(method_id: int) -> ResponseReturnValue:
    """Change a payment method."""
    return _method_page(db.session.get(PaymentMethod, method_id) or abort(404))


def _settings_form(company_id: int, **how: None) -> SettingsForm:
    present = settings_of(company_id)
    form = SettingsForm(
        obj=Shown(
            present,
            template_id=str(present.template_id or ""),
            receipt_format=present.receipt_format.value,
        ),
        **how,
    )
    form.template_id.choices = [
        SelectChoice("", gettext("By the rule of templates")),
        *(SelectChoice(str(number), name) for number, name in ticket_templates(company_id)),
    ]
    return form


@blueprint.route("/settings", methods=["GET", "POST"])
@requires(queries.EDIT)
def settings() -> ResponseReturnValue:
    """Change what the tills of the present company do."""
    company = current_company(signed_in_user())
    # By the company, not by the row, which is there only once somebody has saved it.
    form = record_form(settings_of(company.id), partial(_settings_form, company.id), locked=[company])

    def save() -> None:
        values = _values(form)
        template_id = int(values["template_id"]) if values["template_id"] else None
        paper = ReceiptFormat(values["receipt_format"])
        save_settings(company.id, {**values, "template_id": template_id, "receipt_format": paper})

    if submit(form, save):
        flash(gettext("The settings were saved."), "success")
        return redirect(url_for("pos.settings"))
    title = gettext("Till settings of %(company)s", company=company.name)
    return render_template("core/form.html", form=form, title=title, crumbs=[])


@blueprint.route("/pin", methods=["GET", "POST"])
@requires(queries.USE)
def pin() -> ResponseReturnValue:
    """Set one's own PIN."""
    form = PinForm()
    user = signed_in_user()

    def save() -> None:
        try:
            sign_in(user.login, form.password.data, request.remote_addr or "")
        except SignInError as error:
            raise UserError(_l("This is not your password."), "password") from error
        set_pin(user, form.pin.data)

    if submit(form, save):
        flash(gettext("Your PIN was saved. It takes over any till of your companies."), "success")
        return redirect(url_for("pos.registers"))
    crumbs = [(gettext("Tills"), url_for("pos.registers"))]
    return render_template("core/form.html", form=form, title=gettext("My PIN"), crumbs=crumbs)
