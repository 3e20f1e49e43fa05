"""The pages of gift vouchers."""

from __future__ import annotations

from decimal import Decimal

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import StringField

from core.auth.permissions import requires, signed_in_user
from core.companies.service import current_company
from core.documents.following import follower_panel
from core.documents.models import Document
from core.i18n import N_, gettext
from core.i18n import lazy_gettext as _l
from core.matching import found_in
from core.pickers import PartnerField
from core.web.forms import LocalDecimalField, at_most, required, submit
from core.web.listing import ListSpec, SortKey, paginate
from envoi_toy import service
from envoi_toy.models import Voucher

blueprint = Blueprint("toy", "envoi_toy", url_prefix="/toy", template_folder="templates")

VOUCHERS = ListSpec(
    identity=Document.id,
    sorts=(SortKey("number", N_("Number"), Document.number, lambda row: row.number, descending=True),),
    search=lambda text: found_in(text, Document.number),
)


class VoucherForm(FlaskForm):
    """A new voucher."""

    partner_id = PartnerField(_l("Customer"), required())
    amount = LocalDecimalField(_l("Amount"), required(), places=2)
    greeting = StringField(_l("Greeting"), [*required(), at_most(200)])


@blueprint.get("/vouchers")
@requires("toy.voucher.read")
def vouchers() -> ResponseReturnValue:
    """List vouchers."""
    rows = select(Document).where(Document.kind == service.KIND, service.within_reach_of(signed_in_user()))
    return render_template("toy/vouchers.html", page=paginate(rows, VOUCHERS))


@blueprint.get("/vouchers/<int:document_id>")
@requires("toy.voucher.read")
def voucher(document_id: int) -> ResponseReturnValue:
    """Show one voucher."""
    row: Voucher = service.voucher_for(signed_in_user(), document_id) or abort(404)
    return render_template(
        "toy/voucher.html",
        voucher=row,
        document=row.document,
        panel=follower_panel(row.document),
    )


@blueprint.post("/vouchers/<int:document_id>/extend")
@requires("toy.voucher.issue")
def voucher_extend(document_id: int) -> ResponseReturnValue:
    """Let a voucher be valid for longer."""
    row: Voucher = service.voucher_for(signed_in_user(), document_id, "toy.voucher.issue") or abort(404)
    service.extend(row, seen_revision=request.form.get("revision", type=int))
    flash(gettext("The voucher is valid for longer."), "success")
    return redirect(url_for("toy.voucher", document_id=document_id))


@blueprint.route("/vouchers/new", methods=["GET", "POST"])
@requires("toy.voucher.issue")
def voucher_new() -> ResponseReturnValue:
    """Issue a voucher."""
    form = VoucherForm()
    user = signed_in_user()
    made: list[int] = []

    def issue() -> None:
        amount: Decimal = form.amount.data
        voucher = service.issue(
            form.partner_id.row, current_company(user), amount=amount, greeting=form.greeting.data, by=user
        )
        made.append(voucher.document_id)

    if submit(form, issue):
        flash(gettext("The voucher was issued."), "success")
        return redirect(url_for("toy.voucher", document_id=made[0]))
    crumbs = [(gettext("Vouchers"), url_for("toy.vouchers"))]
    return render_template("core/form.html", form=form, title=gettext("New voucher"), crumbs=crumbs)
