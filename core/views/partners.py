"""Customers and contacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import ColumnElement, and_, false, select, true
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, EmailField, SelectChoice, SelectField, StringField

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.contract import Scope
from core.db.changes import note_change
from core.documents.customers import refuse_narrowing
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.matching import matching
from core.partners.address_history import address_changes
from core.partners.models import Partner, PartnerType
from core.partners.reach import EDIT, READ, partner_for, reachable
from core.partners.service import make_main_contact, save_partner
from core.partners.titles import CONTACT_TITLES, PARTNER_TITLES
from core.pickers import ReachField
from core.registry import current_settings
from core.selection import ListSource
from core.spreadsheets import Cell, Column, Format
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


class CustomerForm(PartnerForm):
    """A customer, and whose it is."""

    reach = ReachField(
        _l("Visible to"),
        description=_l("Who finds this customer and its contacts, and makes documents out to it"),
    )


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


def _partner(partner_id: int, permission: str = EDIT) -> Partner:
    return partner_for(signed_in_user(), partner_id, permission) or abort(404)


@blueprint.app_template_test("reachable")
def is_reachable(partner: Partner | None) -> bool:
    """Return True for a customer or contact whose page the person signed in may open: `partner is reachable`."""
    user = signed_in_user()
    if partner is None or not user.can(READ):
        return False
    return (partner.company_id, partner.owner_id) == (None, None) or partner_for(user, partner.id) is not None


def _new_form() -> CustomerForm:
    """Return the form of a new customer, for whom the installation's setting says."""
    user, reach = signed_in_user(), current_settings().customer_reach
    usual = ReachField.text_of(
        company_id=user.company_id if reach is Scope.COMPANY else None,
        owner_id=user.id if reach is Scope.OWN else None,
    )
    form = CustomerForm(reach=usual)
    form.reach.offer(user)
    return form


def _values(form: PartnerForm) -> dict[str, object]:
    """Return what was filled in, by column; `opted_out` stands for since when."""
    values = {name: value for name, value in form.data.items() if name not in {"csrf_token", "reach"}}
    if isinstance(form, CustomerForm):
        values |= form.reach.columns
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def partner_list(user: User) -> ListSource[Partner]:
    """Return the list of customers and contacts, and what it says as a table."""
    return ListSource(
        select(Partner).where(reachable(user)).options(joinedload(Partner.parent)),
        PARTNERS,
        [
            Column(gettext("Name"), width=32),
            Column(gettext("Contact of"), width=32),
            Column(gettext("Email"), width=32),
            Column(gettext("Phone")),
            Column(gettext("Function")),
            Column(gettext("Street"), width=32),
            Column(gettext("Postal code"), width=12),
            Column(gettext("City"), width=20),
            Column(gettext("Country"), width=10),
            Column(gettext("VAT number"), width=20),
            Column(gettext("Language"), width=10),
            Column(gettext("Wants no emails since"), Format.MOMENT),
        ],
        _partner_cells,
        default_filters=("customers",),
    )


def _partner_cells(rows: Sequence[Partner]) -> Iterator[Sequence[Cell]]:
    for row in rows:
        yield [
            row.name,
            row.parent.name if row.parent is not None else "",
            row.email,
            row.phone,
            row.function,
            row.street,
            row.zip_code,
            row.city,
            row.country,
            row.vat,
            row.language,
            row.opted_out_at,
        ]


@blueprint.get("/partners")
@requires("core.partner.read")
def partners() -> ResponseReturnValue:
    """List customers and contacts."""
    source = partner_list(signed_in_user())
    page = paginate(source.statement, source.spec, default_filters=source.default_filters)
    return render_template("core/partners/partners.html", page=page, type_titles=PARTNER_TITLES)


@blueprint.get("/partners/<int:partner_id>")
@requires("core.partner.read")
def partner(partner_id: int) -> ResponseReturnValue:
    """Show a customer with its contacts."""
    row = _partner(partner_id, READ)
    return render_template(
        "core/partners/partner.html",
        partner=row,
        changes=address_changes(row),
        contacts=sorted(row.contacts, key=lambda contact: (not contact.active, not contact.is_main)),
        type_titles=PARTNER_TITLES,
    )


@blueprint.post("/partners/<int:partner_id>/main")
@requires("core.partner.edit")
def partner_main(partner_id: int) -> ResponseReturnValue:
    """Make a contact the main one of its customer."""
    row = _partner(partner_id)
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
    parent = _partner(parent_id) if parent_id else None
    if parent is not None and parent.parent_id is not None:
        abort(404)  # a contact has no contacts
    form = ContactForm(language=parent.language, country=parent.country) if parent else _new_form()
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
    row = _partner(partner_id)

    def build(**how: None) -> PartnerForm:
        shown = {"opted_out": row.opted_out_at is not None}
        if row.parent_id is not None:
            return ContactForm(obj=Shown(row, **shown), **how)
        reach = ReachField.text_of(company_id=row.company_id, owner_id=row.owner_id)
        form = CustomerForm(obj=Shown(row, reach=reach, **shown), **how)
        form.reach.offer(signed_in_user(), present=row.owner)
        form.reach.keep(row.company)
        return form

    def save() -> None:
        values = _values(form)
        if isinstance(form, CustomerForm):
            refuse_narrowing(row, **form.reach.columns)
        save_partner(row, values)

    form = record_form(row, build, locked=[row.parent, row] if row.parent else [row])
    if submit(form, save):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.partner", partner_id=row.id))
    crumbs = [
        (gettext("Customers"), url_for("core.partners")),
        (row.name, url_for("core.partner", partner_id=row.id)),
    ]
    return render_template("core/form.html", form=form, title=gettext("Edit"), crumbs=crumbs)
