"""The rules which taxes whom are charged."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import false, select
from wtforms import (
    BooleanField,
    FieldList,
    Form,
    FormField,
    HiddenField,
    SelectChoice,
    SelectField,
    StringField,
)

from core.auth.permissions import requires, signed_in_user
from core.companies.service import current_company
from core.db import db
from core.i18n import N_, gettext
from core.i18n import lazy_gettext as _l
from core.pickers import CompanyField
from core.products.models import CustomerGroup, Tax, TaxRule
from core.products.tax_rules import GROUP_TITLES, can_ship, save_tax_rule, ship
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES
from core.views.products import EDIT
from core.views.spoken import (
    IN_OTHER_LANGUAGES,
    SpokenForm,
    one_language_a_line,
    spoken_values,
    words_of,
)
from core.web.forms import at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import Shown, record_form

TAX_RULES = ListSpec(
    identity=TaxRule.id,
    sorts=(SortKey("name", N_("Name"), TaxRule.name, lambda row: row.name),),
    filters=(
        Filter("active", N_("Active"), TaxRule.active.is_(True), "active"),
        Filter("archived", N_("Archived"), TaxRule.active == false(), "active"),
    ),
    search=lambda text: (
        TaxRule.name.icontains(text, autoescape=True) | TaxRule.mention.icontains(text, autoescape=True)
    ),
)


class MentionForm(Form):  # type: ignore[misc]
    """The mention in another language."""

    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES, validate_choice=False)
    mention = StringField(_l("Printed on documents"), [at_most(300)])


class ReplacementForm(Form):  # type: ignore[misc]
    """What becomes of one tax."""

    tax_id = HiddenField()
    tax = StringField(_l("Usual tax"), render_kw={"readonly": True})
    instead_id = SelectField(_l("Charged instead"), validate_choice=False)


class TaxRuleForm(SpokenForm):
    """A rule."""

    name = StringField(_l("Name"), [*required(), at_most(80)], description=_l("Internal note; not printed"))
    customers = SelectField(
        _l("Applies to"),
        choices=[SelectChoice(group.value, _l(title)) for group, title in GROUP_TITLES.items()],
        description=_l("The first rule made for them applies by itself; others are chosen in the document."),
    )
    company_id = CompanyField(_l("Company"))
    mention = StringField(
        _l("Printed on documents"),
        [at_most(300)],
        description=_l("What the law wants said, such as “Autoliquidation – article 283-2 du CGI”"),
    )
    untaxed = BooleanField(_l("Taxes without a replacement are not charged"), default=True)
    active = BooleanField(_l("Active"), default=True)
    words = FieldList(FormField(MentionForm), **IN_OTHER_LANGUAGES)
    replacements = FieldList(FormField(ReplacementForm), label=_l("Taxes that are replaced"))

    def as_text(self, field: Any) -> str:
        """Return the replacements as people read them."""
        if field.short_name != "replacements":
            return super().as_text(field)
        names = {str(tax.id): tax.name for tax in db.session.scalars(select(Tax))}
        rows = [(names.get(row.tax_id.data, ""), names.get(row.instead_id.data or "", "")) for row in field]
        return "; ".join(f"{tax} → {other}" for tax, other in rows if other)


def _form(row: TaxRule | None, **how: None) -> TaxRuleForm:
    company_id = row.company_id if row else None
    known = {one.tax_id: one.instead_id for one in row.replacements} if row else {}
    taxes = list(
        db.session.scalars(
            select(Tax)
            .where(Tax.active | Tax.id.in_([*known, *known.values()]))
            .order_by(Tax.company_id, Tax.rate.desc(), Tax.name)
        )
    )
    shown = Shown(
        row,
        customers=row.customers.value if row else None,
        words=words_of(row),
        replacements=[
            {"tax_id": str(tax.id), "tax": _name(tax), "instead_id": str(known.get(tax.id, ""))}
            for tax in taxes
            if company_id is None or tax.company_id in {None, company_id}
        ],
    )
    form = TaxRuleForm(obj=shown, **how)
    one_language_a_line(form)
    names = {str(tax.id): _name(tax) for tax in taxes}
    for entry in form.replacements:
        entry.form.tax.data = names.get(entry.form.tax_id.data or "", "")
        entry.form.instead_id.choices = [
            SelectChoice("", "–"),
            *(SelectChoice(number, name) for number, name in names.items()),
        ]
    return form


def _name(tax: Tax) -> str:
    return f"{tax.name} – {tax.company.name}" if tax.company else tax.name


def _values(form: FlaskForm) -> dict[str, Any]:
    values = spoken_values(form)
    values["customers"] = CustomerGroup(values["customers"])
    known = {str(number) for number in db.session.scalars(select(Tax.id))}
    values["replacements"] = {
        int(row["tax_id"]): int(row["instead_id"])
        for row in values["replacements"]
        if row["tax_id"] in known and row["instead_id"] in known
    }
    return values


@blueprint.get("/tax-rules")
@requires(EDIT)
def tax_rules() -> ResponseReturnValue:
    """List the rules."""
    page = paginate(select(TaxRule), TAX_RULES, default_filters=("active",))
    company = current_company(signed_in_user())
    return render_template(
        "core/products/tax_rules.html",
        page=page,
        titles=GROUP_TITLES,
        company=company if can_ship(company) else None,
    )


@blueprint.post("/tax-rules/usual")
@requires(EDIT)
def tax_rules_usual() -> ResponseReturnValue:
    """Make the usual rules of the company's country."""
    company = current_company(signed_in_user())
    if ship(company):
        flash(gettext("The rules were added. Look at them with your accountant."), "success")
    return redirect(url_for("core.tax_rules"))


@blueprint.route("/tax-rules/new", methods=["GET", "POST"])
@requires(EDIT)
def tax_rule_new() -> ResponseReturnValue:
    """Make a rule."""
    form = _form(None)
    if submit(form, lambda: save_tax_rule(None, _values(form))):
        return redirect(url_for("core.tax_rules"))
    crumbs = [(gettext("Tax rules"), url_for("core.tax_rules"))]
    return render_template("core/form.html", form=form, title=gettext("New tax rule"), crumbs=crumbs)


@blueprint.route("/tax-rules/<int:rule_id>", methods=["GET", "POST"])
@requires(EDIT)
def tax_rule(rule_id: int) -> ResponseReturnValue:
    """Change a rule."""
    row = db.session.get(TaxRule, rule_id) or abort(404)
    form = record_form(row, partial(_form, row))
    if submit(form, lambda: save_tax_rule(row, _values(form))):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.tax_rules"))
    crumbs = [(gettext("Tax rules"), url_for("core.tax_rules"))]
    return render_template("core/form.html", form=form, title=row.name, crumbs=crumbs)
