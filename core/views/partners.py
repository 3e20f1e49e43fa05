"""Customers and contacts."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import ColumnElement, and_, false, select, true
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, EmailField, SelectChoice, SelectField, StringField

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.db.changes import note_change
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.matching import matching
from core.partners.models import Partner, PartnerType
from core.partners.service import make_main_contact, save_partner
from core.partners.titles import CONTACT_TITLES, PARTNER_TITLES
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES
from core.web.forms import at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import RecordForm, Shown, record_form


def _found(text: str) -> ColumnElement[bool]:
    return and_(true(), *matching(text, Partner.name, Partner.email, Partner.city))


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
        Filter("opted-out", N_("Wants no emails"), Partner.opted_out_at.is_not(None)),
        Filter("archived", N_("Archived"), Partner.active == false()),
    ),
    search=_found,
)


class PartnerForm(RecordForm):
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
        _l("Language"), choices=LANGUAGE_CHOICES, default="fr", description=_l("Of documents and emails")
    )
    opted_out = BooleanField(
        _l("Wants no emails"), description=_l("Whoever sends an email to this person is asked first.")
    )
    active = BooleanField(_l("Active"), default=True)


class ContactForm(PartnerForm):
    """A contact of a customer."""

    type = SelectField(
        _l("Kind of contact"),
        choices=[SelectChoice(kind.value, title) for kind, title in CONTACT_TITLES.items()],
        default=PartnerType.CONTACT.value,
    )
    is_main = BooleanField(
        _l("Main contact"),
        description=_l(
            "Gets the emails that go to the main contact. A customer has one; it takes the place of the former."
        ),
    )


def _values(form: PartnerForm) -> dict[str, object]:
    """Return what was filled in, by column; `opted_out` stands for since when."""
    values = {name: value for name, value in form.data.items() if name != "csrf_token"}
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


@blueprint.get("/partners")
@requires("core.partner.read")
def partners() -> ResponseReturnValue:
    """List customers and contacts."""
    statement = select(Partner).options(joinedload(Partner.parent))
    page = paginate(statement, PARTNERS, default_filters=("customers",))
    return render_template("core/partners/partners.html", page=page, type_titles=PARTNER_TITLES)


@blueprint.get("/partners/<int:partner_id>")
@requires("core.partner.read")
def partner(partner_id: int) -> ResponseReturnValue:
    """Show a customer with its contacts."""
    row = db.session.get(Partner, partner_id) or abort(404)
    return render_template(
        "core/partners/partner.html",
        partner=row,
        contacts=sorted(row.contacts, key=lambda contact: (not contact.active, not contact.is_main)),
        type_titles=PARTNER_TITLES,
    )


@blueprint.post("/partners/<int:partner_id>/main")
@requires("core.partner.edit")
def partner_main(partner_id: int) -> ResponseReturnValue:
    """Make a contact the main one of its customer."""
    row = db.session.get(Partner, partner_id) or abort(404)
    make_main_contact(row)
    note_change(row, signed_in_user().id)
    flash(gettext("%(name)s is the main contact now.", name=row.name), "success")
    return redirect(url_for("core.partner", partner_id=row.parent_id))


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
    shape = ContactForm if row.parent_id else PartnerForm

    def build(**how: None) -> PartnerForm:
        return shape(obj=Shown(row, opted_out=row.opted_out_at is not None), **how)

    form = record_form(row, build, locked=[row.parent, row] if row.parent else [row])
    if submit(form, lambda: save_partner(row, _values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.partner", partner_id=row.id))
    crumbs = [
        (gettext("Customers"), url_for("core.partners")),
        (row.name, url_for("core.partner", partner_id=row.id)),
    ]
    return render_template("core/form.html", form=form, title=gettext("Edit"), crumbs=crumbs)
