"""Customers and contacts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from sqlalchemy import select
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
)
from wtforms.validators import Optional

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.contract import Scope
from core.db.changes import note_change
from core.documents.customers import refuse_narrowing
from core.i18n import language_name
from core.i18n import lazy_gettext as _l
from core.mail.mistyped import meant
from core.partners import export
from core.partners.history import last_changes
from core.partners.labels import LabelKind, PartnerLabel, labels_of
from core.partners.listing import PARTNERS
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.reach import EDIT, READ, partner_for, reachable
from core.partners.service import make_main_contact, save_partner
from core.partners.titles import CONSENT_TITLES, CONTACT_TITLES, PARTNER_TITLES
from core.pickers import ReachField
from core.registry import current_settings
from core.selection import ListSource
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, country_choices, country_name
from core.web.formats import translated
from core.web.forms import at_most, required, submit
from core.web.listing import paginate
from core.web.record_form import RecordForm, Shown, record_form


class SourceField(StringField):  # type: ignore[misc]
    """How something is known: words of the application itself are shown, and taken back, in the reader's language."""

    def _value(self) -> str:
        return translated(self.data or "") if self.data == self.object_data else str(self.data or "")

    def process_formdata(self, valuelist: list[str]) -> None:
        """Take what was typed; what stands there as it was shown has not changed."""
        super().process_formdata(valuelist)
        typed = str(valuelist[0]) if valuelist else ""
        if typed and typed == translated(self.object_data or ""):
            self.data = self.object_data


class PartnerForm(RecordForm):
    """A customer or a contact."""

    name = StringField(_l("Name"), [*required(), at_most(160)])
    number = StringField(
        _l("Customer number"), [at_most(40)], description=_l("As in your accounts or another program")
    )
    email = EmailField(_l("Email address"), [at_most(254)])
    phone = StringField(_l("Phone"), [at_most(40)])
    function = StringField(_l("Function"), [at_most(80)])
    street = StringField(_l("Street"), [at_most(200)])
    zip_code = StringField(_l("Postal code"), [at_most(20)])
    city = StringField(_l("City"), [at_most(80)])
    country = SelectField(_l("Country"), default="FR", render_kw={"data-search": ""})
    vat = StringField(_l("VAT number"), [at_most(40)])
    language = SelectField(
        _l("Language"), choices=LANGUAGE_CHOICES, default="fr", description=_l("Of documents and emails")
    )
    family_id = SelectField(_l("Family"), default="", render_kw={"data-search": ""})
    tags = SelectMultipleField(_l("Tags"), coerce=int, render_kw={"data-search": ""})
    consent = SelectField(
        _l("Emails wanted"),
        choices=[SelectChoice(consent.value, title) for consent, title in CONSENT_TITLES.items()],
        default=MailConsent.NECESSARY.value,
        description=_l("Whoever writes to somebody who wants no emails is asked first."),
    )
    consent_at = DateField(
        _l("Since"), [Optional()], description=_l("Empty: today, where the wish has changed.")
    )
    consent_source = SourceField(
        _l("How it is known"), [at_most(160)], description=_l("Such as “form on the website” or “trade fair”")
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

    number = family_id = None

    type = SelectField(
        _l("Kind of contact"),
        choices=[SelectChoice(kind.value, title) for kind, title in CONTACT_TITLES.items()],
        default=PartnerType.CONTACT.value,
    )
    functions = SelectMultipleField(
        _l("Function codes"),
        coerce=int,
        description=_l("What this contact is written to for"),
        render_kw={"data-search": ""},
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


def usual_reach(user: User) -> str:
    """Return whose a new customer is by the installation's setting, as `ReachField` says it."""
    reach = current_settings().customer_reach
    return ReachField.text_of(
        company_id=user.company_id if reach is Scope.COMPANY else None,
        owner_id=user.id if reach is Scope.OWN else None,
    )


def _new_form() -> CustomerForm:
    """Return the form of a new customer, for whom the installation's setting says."""
    user = signed_in_user()
    form = CustomerForm(reach=usual_reach(user))
    form.reach.offer(user)
    _offer(form)
    return form


def _new_contact_form(customer: Partner) -> ContactForm:
    form = ContactForm(language=customer.language, country=customer.country)
    _offer(form)
    return form


def _offer(form: PartnerForm, row: Partner | None = None) -> None:
    """Set the countries, families, tags and function codes to choose from; what a row has stays among them."""
    present = [*row.labels, *([row.family] if row.family is not None else [])] if row is not None else []
    form.country.choices = country_choices(row.country if row is not None else "")
    form.tags.choices = _choices(LabelKind.TAG, present)
    if isinstance(form, ContactForm):
        form.functions.choices = _choices(LabelKind.FUNCTION, present)
    else:
        form.family_id.choices = [SelectChoice("", "–"), *_choices(LabelKind.FAMILY, present)]


def _choices(kind: LabelKind, present: list[PartnerLabel]) -> list[SelectChoice]:
    return [SelectChoice(str(label.id), label.title) for label in labels_of(kind, keep=present)]


def _shown(row: Partner) -> dict[str, object]:
    """Return what the form shows otherwise than it is stored."""
    return {
        "consent": row.consent.value,
        "consent_at": row.consent_at.date() if row.consent_at is not None else None,
        "family_id": str(row.family_id or ""),
        "tags": [label.id for label in row.labeled(LabelKind.TAG)],
        "functions": [label.id for label in row.labeled(LabelKind.FUNCTION)],
    }


def _values(form: PartnerForm, row: Partner | None = None) -> dict[str, object]:
    """Return what was filled in, by column."""
    values = {name: value for name, value in form.data.items() if name not in {"csrf_token", "reach"}}
    if isinstance(form, CustomerForm):
        values |= form.reach.columns
        values["family_id"] = int(values["family_id"]) if values["family_id"] else None
    values["label_ids"] = [*(values.pop("tags") or []), *(values.pop("functions", None) or [])]
    day = values.pop("consent_at")
    if row is not None and day is not None and row.consent_at is not None and day == row.consent_at.date():
        # The field has no time of the day. Whoever changes the wish and not the day means today.
        values["consent_at"] = row.consent_at if values["consent"] == row.consent else None
    else:
        values["consent_at"] = dt.datetime.combine(day, dt.time(), dt.UTC) if day is not None else None
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def partner_list(user: User) -> ListSource[Partner]:
    """Return the list of customers and contacts, and what it says as a table: what an import reads."""
    theirs = select(Partner).where(reachable(user), Partner.merged_into_id.is_(None))
    return ListSource(
        theirs.options(*export.SHOWN),
        PARTNERS,
        export.columns(),
        export.cells,
        default_filters=("customers",),
    )


@blueprint.get("/partners")
@requires("core.partner.read")
def partners() -> ResponseReturnValue:
    """List customers and contacts."""
    source = partner_list(signed_in_user())
    extra = {"panel": "1"} if "panel" in request.args else {}
    page = paginate(source.statement, source.spec, default_filters=source.default_filters, extra=extra)
    chosen: dict[str, Any] = {
        "q": page.search or None,
        "f": list(page.active),
        "all": None if page.active else 1,
        **page.facets,
    }
    return render_template(
        "core/partners/partners.html",
        page=page,
        type_titles=PARTNER_TITLES,
        export_url=url_for("core.partners_export", **chosen),
    )


@blueprint.get("/partners/<int:partner_id>")
@requires("core.partner.read")
def partner(partner_id: int) -> ResponseReturnValue:
    """Show a customer with its contacts."""
    row = _partner(partner_id, READ)
    if row.merged_into_id is not None:
        return redirect(url_for("core.partner", partner_id=row.merged_into_id))
    return render_template(
        "core/partners/partner.html",
        partner=row,
        changes=last_changes(row),
        contacts=sorted(row.contacts, key=lambda contact: (not contact.active, not contact.is_main)),
        type_titles=PARTNER_TITLES,
        consent_titles=CONSENT_TITLES,
        country=country_name(row.country),
        language=language_name(row.language),
    )


def _doubt_address(row: Partner) -> None:
    """Ask on the next page whether another address was meant than the one that was saved."""
    better = meant(row.email, str(get_locale() or "en"))
    if better:
        words = gettext(
            "%(address)s may be mistyped. Did you mean %(better)s?", address=row.email, better=better
        )
        flash(words, "warning")


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
    form = _new_contact_form(parent) if parent else _new_form()
    made: list[Partner] = []
    if submit(form, lambda: made.append(save_partner(None, {**_values(form), "parent_id": parent_id}))):
        _doubt_address(made[0])
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
    if row.merged_into_id is not None:
        return redirect(url_for("core.partner", partner_id=row.merged_into_id))

    def build(**how: None) -> PartnerForm:
        shown = _shown(row)
        if row.parent_id is not None:
            contact = ContactForm(obj=Shown(row, **shown), **how)
            _offer(contact, row)
            return contact
        reach = ReachField.text_of(company_id=row.company_id, owner_id=row.owner_id)
        form = CustomerForm(obj=Shown(row, reach=reach, **shown), **how)
        form.reach.offer(signed_in_user(), present=row.owner)
        form.reach.keep(row.company)
        _offer(form, row)
        return form

    def save() -> None:
        values = _values(form, row)
        if isinstance(form, CustomerForm):
            refuse_narrowing(row, **form.reach.columns)
        save_partner(row, values)

    form = record_form(row, build, locked=[row.parent, row] if row.parent else [row])
    if submit(form, save):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        _doubt_address(row)
        return redirect(url_for("core.partner", partner_id=row.id))
    crumbs = [
        (gettext("Customers"), url_for("core.partners")),
        (row.name, url_for("core.partner", partner_id=row.id)),
    ]
    return render_template("core/form.html", form=form, title=gettext("Edit"), crumbs=crumbs)
