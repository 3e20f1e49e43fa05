"""Customers and contacts."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from sqlalchemy import false, select
from wtforms import BooleanField, EmailField, SelectChoice, SelectField, StringField

from core.auth.permissions import requires
from core.db import db
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES
from core.web.forms import at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate

TYPE_TITLES = {
    PartnerType.CUSTOMER: _l("Customer"),
    PartnerType.CONTACT: _l("Contact"),
    PartnerType.BILLING: _l("Billing contact"),
    PartnerType.DELIVERY: _l("Delivery contact"),
}

PARTNERS = ListSpec(
    identity=Partner.id,
    sorts=(
        SortKey("name", N_("Name"), Partner.name, lambda row: row.name),
        SortKey("city", N_("City"), Partner.city, lambda row: row.city),
        SortKey("email", N_("Email"), Partner.email, lambda row: row.email),
    ),
    filters=(
        Filter("customers", N_("Customers"), Partner.parent_id.is_(None), "type"),
        Filter("contacts", N_("Contacts"), Partner.parent_id.is_not(None), "type"),
        Filter("no-address", N_("Without address"), Partner.email == ""),
        Filter("archived", N_("Archived"), Partner.active == false()),
    ),
    search=lambda text: (
        Partner.name.icontains(text, autoescape=True)
        | Partner.email.icontains(text, autoescape=True)
        | Partner.city.icontains(text, autoescape=True)
    ),
)


class PartnerForm(FlaskForm):  # type: ignore[misc]
    """A customer or a contact."""

    name = StringField(_l("Name"), [*required(), at_most(160)])
    email = EmailField(_l("Email address"), [at_most(254)])
    phone = StringField(_l("Phone"), [at_most(40)])
    function = StringField(_l("Function"), [at_most(80)])
    street = StringField(_l("Street"), [at_most(200)])
    zip_code = StringField(_l("Postal code"), [at_most(20)])
    city = StringField(_l("City"), [at_most(80)])
    country = StringField(_l("Country"), [at_most(2)], default="FR", description=_l("Two letters (ISO 3166)"))
    vat = StringField(_l("VAT number"), [at_most(40)])
    language = SelectField(
        _l("Language"), choices=LANGUAGE_CHOICES, default="fr", description=_l("Of documents and mails")
    )
    active = BooleanField(_l("Active"), default=True)


class ContactForm(PartnerForm):
    """A contact of a customer."""

    type = SelectField(
        _l("Kind of contact"),
        choices=[SelectChoice(t.value, TYPE_TITLES[t]) for t in PartnerType if t is not PartnerType.CUSTOMER],
        default=PartnerType.CONTACT.value,
    )


def _values(form: PartnerForm) -> dict[str, object]:
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


@blueprint.get("/partners")
@requires("core.partner.read")
def partners() -> ResponseReturnValue:
    """List customers and contacts."""
    statement = select(Partner)
    page = paginate(statement, PARTNERS, default_filters=("customers",))
    return render_template("core/partners.html", page=page)


@blueprint.get("/partners/<int:partner_id>")
@requires("core.partner.read")
def partner(partner_id: int) -> ResponseReturnValue:
    """Show a customer with its contacts."""
    row = db.session.get(Partner, partner_id) or abort(404)
    return render_template("core/partner.html", partner=row, type_titles=TYPE_TITLES)


@blueprint.route("/partners/new", methods=["GET", "POST"])
@blueprint.route(
    "/partners/<int:parent_id>/contacts/new", methods=["GET", "POST"], endpoint="partner_contact_new"
)
@requires("core.partner.edit")
def partner_new(parent_id: int | None = None) -> ResponseReturnValue:
    """Make a customer, or a contact of one."""
    parent = (db.session.get(Partner, parent_id) or abort(404)) if parent_id else None
    form = ContactForm(language=parent.language, country=parent.country) if parent else PartnerForm()
    made: list[Partner] = []
    if submit(form, lambda: made.append(save_partner(None, {**_values(form), "parent_id": parent_id}))):
        return redirect(url_for("core.partner", partner_id=parent_id or made[0].id))
    title = gettext("New contact of %(name)s", name=parent.name) if parent else gettext("New customer")
    return render_template(
        "core/form.html", form=form, title=title, crumbs=[(gettext("Customers"), url_for("core.partners"))]
    )


@blueprint.route("/partners/<int:partner_id>/edit", methods=["GET", "POST"])
@requires("core.partner.edit")
def partner_edit(partner_id: int) -> ResponseReturnValue:
    """Change a customer or contact."""
    row = db.session.get(Partner, partner_id) or abort(404)
    form = ContactForm(obj=row) if row.parent_id else PartnerForm(obj=row)
    if submit(form, lambda: save_partner(row, _values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.partner", partner_id=row.id))
    crumbs = [
        (gettext("Customers"), url_for("core.partners")),
        (row.name, url_for("core.partner", partner_id=row.id)),
    ]
    return render_template("core/form.html", form=form, title=gettext("Edit"), crumbs=crumbs)
