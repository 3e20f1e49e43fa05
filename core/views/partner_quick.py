"""A customer made on the way: from the form of a document, which stays as it is and takes the new one."""

from __future__ import annotations

import json

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, SelectField, StringField

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.auth.service import companies_of
from core.companies.models import Company
from core.companies.service import current_company
from core.contract import Scope
from core.db import db
from core.db.changes import note_change
from core.errors import UserError
from core.i18n import gettext
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.service import find_partners, save_partner
from core.registry import current_settings
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, country_choices
from core.web.forms import at_most, required, submit


class NewCustomerForm(FlaskForm):  # type: ignore[misc]
    """What a document needs of a customer; the rest is added on its page."""

    name = StringField(_l("Name"), [*required(), at_most(160)])
    email = EmailField(_l("Email address"), [at_most(254)])
    street = StringField(_l("Street"), [at_most(200)])
    zip_code = StringField(_l("Postal code"), [at_most(20)])
    city = StringField(_l("City"), [at_most(80)])
    country = SelectField(_l("Country"))
    vat = StringField(_l("VAT number"), [at_most(40)])
    language = SelectField(
        _l("Language"), choices=LANGUAGE_CHOICES, description=_l("Of documents and emails")
    )
    known_as = HiddenField()
    """The name about which somebody was told that there is such a customer already."""


def _company_or_404(user: User) -> Company:
    company_id = request.args.get("company_id", type=int)
    if company_id is None:
        return current_company(user)
    if company_id not in companies_of(user):
        abort(404)
    return db.session.get_one(Company, company_id)


@blueprint.route("/partners/quick", methods=["GET", "POST"])
@requires("core.partner.edit")
def partner_quick() -> ResponseReturnValue:
    """Make a customer whom a document of a company can name, and tell the page that asked for it."""
    user = signed_in_user()
    company = _company_or_404(user)
    form = NewCustomerForm(country=company.country, language=company.language)
    form.country.choices = country_choices(company.country)
    made: list[Partner] = []
    if request.method == "POST" and submit(form, lambda: made.append(_make(form, company, user))):
        told = {"customer-made": {"value": str(made[0].id), "text": made[0].name}}
        return "", 204, {"HX-Trigger": json.dumps(told)}
    html = render_template("core/partners/quick.html", form=form, company=company)
    # In the dialog, with what is wrong beside its field.
    return html, 422 if request.method == "POST" else 200


def _make(form: NewCustomerForm, company: Company, user: User) -> Partner:
    name = " ".join((form.name.data or "").split())
    same = [
        row
        for row in find_partners(name, user, limit=5)
        if row.name.casefold() == name.casefold() and row.parent_id is None
    ]
    if same and form.known_as.data != name:
        form.known_as.data = name
        raise UserError(
            gettext(
                "There is a customer of this name already: %(name)s, %(city)s. Choose that one, or press Save again to "
                "make another.",
                name=same[0].name,
                city=same[0].city or "–",
            ),
            "name",
        )
    reach = current_settings().customer_reach
    values = {key: value for key, value in form.data.items() if key not in {"csrf_token", "known_as"}}
    partner = save_partner(
        None,
        {
            **{key: value.strip() for key, value in values.items() if isinstance(value, str)},
            "name": name,
            "company_id": company.id if reach is Scope.COMPANY else None,
            "owner_id": user.id if reach is Scope.OWN else None,
        },
    )
    note_change(partner, user.id)
    return partner
