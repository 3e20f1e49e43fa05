"""Companies: who issues documents."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from flask import Response, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf.file import FileField
from sqlalchemy import false, select, true
from werkzeug.datastructures import FileStorage
from wtforms import BooleanField, ColorField, EmailField, Field, SelectField, StringField, TextAreaField
from wtforms.validators import Regexp, ValidationError

from core.auth.permissions import requires
from core.companies.models import Company
from core.companies.service import MAX_LOGO_BYTES, clean_logo, save_company
from core.db import db
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize
from core.matching import found_in
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, country_choices, currency_choices, timezone_choices
from core.web.forms import at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import RecordForm, record_form

COMPANIES = ListSpec(
    identity=Company.id,
    sorts=(
        SortKey("name", N_("Name"), Company.name, lambda row: row.name),
        SortKey("city", N_("City"), Company.city, lambda row: row.city),
    ),
    filters=(
        Filter("active", N_("Active"), Company.active == true(), "active"),
        Filter("archived", N_("Archived"), Company.active == false(), "active"),
    ),
    search=lambda text: found_in(text, Company.name, Company.city),
)
MAX_LINES_LENGTH = 1000  # characters of text at the foot of a page; more would push the lines off it
NOT_COLUMNS = {"csrf_token", "logo", "remove_logo"}  # fields of the form that are no columns of the row


class CompanyForm(RecordForm):
    """A company, as its documents show it."""

    name = StringField(_l("Name"), [*required(), at_most(120)])
    vat = StringField(_l("VAT number"), [at_most(40)])
    street = StringField(_l("Street"), [at_most(200)])
    zip_code = StringField(_l("Postal code"), [at_most(20)])
    city = StringField(_l("City"), [at_most(80)])
    country = SelectField(_l("Country"), default="FR", render_kw={"data-search": ""})
    email = EmailField(
        _l("Email address"),
        [at_most(254)],
        description=_l("Documents are sent from this address."),
    )
    phone = StringField(_l("Phone"), [at_most(40)])
    website = StringField(_l("Website"), [at_most(200)], render_kw={"inputmode": "url"})
    currency = SelectField(_l("Currency"), default="EUR", render_kw={"data-search": ""})
    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES, default="fr")
    timezone = SelectField(
        _l("Time zone"),
        default="Europe/Paris",
        description=_l("Its documents are dated by the day of this place."),
        render_kw={"data-search": ""},
    )
    active = BooleanField(_l("Active"), default=True, description=_l("Documents can be made in its name."))
    legal_line = TextAreaField(
        _l("Legal line"),
        [at_most(MAX_LINES_LENGTH)],
        description=_l("Form, capital, registration: at the foot of every document."),
        render_kw={"rows": 2},
    )
    late_payment_line = TextAreaField(
        _l("Late payment"),
        [at_most(MAX_LINES_LENGTH)],
        description=_l(
            "What a business owes that pays late, as the law wants it: at the foot of invoices, and of no till receipt."
        ),
        render_kw={"rows": 2},
    )
    bank_line = TextAreaField(
        _l("Bank line"),
        [at_most(MAX_LINES_LENGTH)],
        description=_l("Where customers pay to: bank, IBAN, BIC."),
        render_kw={"rows": 2},
    )
    accent = ColorField(
        _l("Accent color"),
        [Regexp(r"#[0-9a-fA-F]{6}\Z", message=_l("A color is written #rrggbb."))],
        default="#1f5f8b",
        description=_l("Of the lines and titles of its documents."),
    )
    logo = FileField(
        _l("Logo"),
        description=_l("PNG, JPEG, GIF or WebP, at most 2 MB."),
        render_kw={"accept": "image/png,image/jpeg,image/gif,image/webp"},
    )
    remove_logo = BooleanField(_l("Remove the logo"))
    picture: bytes | None = None

    def validate_logo(self, field: Field) -> None:
        """A logo is a picture. It is drawn anew here, before the row is locked: that takes its time."""
        if isinstance(field.data, FileStorage):  # without an upload, the field holds the present picture
            try:
                self.picture = clean_logo(field.data.stream.read(MAX_LOGO_BYTES + 1))
            except UserError as error:
                raise ValidationError(str(error.message)) from error


def _form(company: Company | None, **how: None) -> CompanyForm:
    form = CompanyForm(obj=company, **how)
    form.country.choices = country_choices(company.country if company else "")
    form.currency.choices = currency_choices(company.currency if company else "")
    form.timezone.choices = timezone_choices(company.timezone if company else "")
    if company is None or company.logo is None:
        del form.remove_logo
    return form


def company_values(form: CompanyForm) -> dict[str, Any]:
    """Return the column values of the form.

    Raises:
        UserError: The address is invalid.
    """
    values = {name: value for name, value in form.data.items() if name not in NOT_COLUMNS}
    values = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    if values["email"]:
        values["email"] = normalize(values["email"], "email")
    if form.picture is not None:
        values["logo"] = form.picture
    elif "remove_logo" in form and form.remove_logo.data:
        values["logo"] = None
    return values


@blueprint.get("/companies")
@requires("core.company.edit")
def companies() -> ResponseReturnValue:
    """List the companies."""
    page = paginate(select(Company), COMPANIES, default_filters=("active",))
    nothing_yet = db.session.scalar(select(Company.id).limit(1)) is None
    return render_template("core/companies/companies.html", page=page, nothing_yet=nothing_yet)


@blueprint.route("/companies/new", methods=["GET", "POST"])
@requires("core.company.edit")
def company_new() -> ResponseReturnValue:
    """Make a company."""
    form = _form(None)
    if submit(form, lambda: save_company(None, company_values(form))):
        flash(
            gettext("%(name)s was saved. Now choose who works for it, among the users.", name=form.name.data),
            "success",
        )
        return redirect(url_for("core.companies"))
    return render_template(
        "core/companies/company.html", form=form, title=gettext("New company"), company=None
    )


@blueprint.route("/companies/<int:company_id>", methods=["GET", "POST"])
@requires("core.company.edit")
def company_edit(company_id: int) -> ResponseReturnValue:
    """Change a company."""
    row = db.session.get(Company, company_id) or abort(404)
    title = row.name
    form = record_form(row, partial(_form, row), behind=lambda: {"logo": row.logo, "remove_logo": row.logo})
    if submit(form, lambda: save_company(row, company_values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.companies"))
    # The address of the picture changes with it, so that no browser shows the one before.
    version = hashlib.sha256(row.logo).hexdigest()[:12] if row.logo else None
    return render_template(
        "core/companies/company.html", form=form, title=title, company=row, logo_version=version
    )


@blueprint.get("/companies/<int:company_id>/logo")
@requires("core.company.edit")
def company_logo(company_id: int) -> Response:
    """Return the logo of a company."""
    row = db.session.get(Company, company_id) or abort(404)
    if row.logo is None:
        abort(404)
    # What is stored was drawn anew by `clean_logo`, so it is nothing but a picture.
    return Response(row.logo, mimetype="image/jpeg" if row.logo.startswith(b"\xff\xd8") else "image/png")
