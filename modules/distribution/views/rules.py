"""*Distribution rules*: the table, the form of one, and which applies."""

from __future__ import annotations

from functools import partial
from io import BytesIO

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale, gettext
from sqlalchemy import select
from wtforms import BooleanField, SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import Optional

from core.auth.permissions import requires, signed_in_user
from core.companies.service import current_company
from core.db import db
from core.documents.models import Document
from core.documents.pdf import render_document
from core.documents.service import NEWEST_FIRST, file_name, readable_by
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.matching import found_in
from core.partners.labels import LabelKind, PartnerLabel, labels_of
from core.partners.models import Partner
from core.partners.reach import partner_for
from core.partners.search_index import partner_named
from core.partners.service import customer_of
from core.pickers import PartnerField
from core.registry import current_registry
from core.web.forms import WholeNumberField, at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import RecordForm, record_form
from core.web.security import for_viewer
from modules.distribution import archive, service
from modules.distribution.blueprint import blueprint
from modules.distribution.decisions import decisions_about
from modules.distribution.models import Rule
from modules.distribution.permissions import EDIT, READ
from modules.distribution.rule import Decision
from modules.distribution.words import WAY_ICONS, WAY_TITLES

RULES = ListSpec(
    identity=Rule.id,
    sorts=(SortKey("when", N_("When made"), Rule.id, lambda row: row.id),),
    filters=(
        Filter(
            "everybody", N_("For all customers"), Rule.partner_id.is_(None) & Rule.label_id.is_(None), "for"
        ),
        Filter("labels", N_("For families and tags"), Rule.label_id.is_not(None), "for"),
        Filter("customers", N_("For single customers"), Rule.partner_id.is_not(None), "for"),
        Filter("automatic", N_("Automatic"), Rule.automatic.is_(True)),
    ),
    search=lambda text: found_in(text, partner_named(Rule.partner_id)),
)


class RuleForm(RecordForm):
    """A rule."""

    company_id = SelectField(_l("Company"), required())
    kind = SelectField(_l("Documents"))
    partner_id = PartnerField(_l("Customer"), of_company=False)
    label_id = SelectField(
        _l("Family or tag"), description=_l("Without customer, family and tag: for everybody.")
    )
    to_main = BooleanField(_l("Email to the main contact"))
    function_codes = SelectMultipleField(
        _l("Email to the contacts with a function code"), render_kw={"data-search": ""}
    )
    on_paper = BooleanField(_l("Print"), description=_l("Without an email: the customer wants paper."))
    archived = BooleanField(_l("Archive"), description=_l("A file when the document is distributed."))
    archive_sent = BooleanField(
        _l("Archive what was sent"),
        description=_l("The PDF of each email that a server has accepted, as it was sent, from now on."),
    )
    archive_folder = StringField(
        _l("Folder of the archive"), [at_most(200)], description=_l("For example {company}/{year}/{month}")
    )
    archive_name = StringField(
        _l("File name format"), [at_most(200)], description=_l("For example {number} {customer}")
    )
    archive_keep_days = WholeNumberField(
        _l("Keep in the archive for … days"),
        [Optional()],
        description=_l("Then the file is deleted, unless somebody has changed it. Empty: for ever."),
    )
    automatic = BooleanField(
        _l("Automatic"), description=_l("When an order is confirmed, an invoice issued or a sale paid.")
    )
    grace_minutes = WholeNumberField(
        _l("Delay during which it can be stopped, in minutes"), default=15, description=_l("0: goes at once.")
    )
    ask_first = BooleanField(_l("Ask before sending"), description=_l("It waits until a person decides."))
    active = BooleanField(_l("Active"), default=True)


def kind_choices() -> list[tuple[str, str]]:
    """Return the kinds of documents, each with its title."""
    return [(name, gettext(kind.title)) for name, kind in current_registry().kinds.items()]


def _form(row: Rule | None, **how: None) -> RuleForm:
    user = signed_in_user()
    form = RuleForm(obj=row, **how)
    companies = service.companies_with(user)
    form.company_id.choices = [SelectChoice(str(company.id), company.name) for company in companies]
    form.kind.choices = [
        SelectChoice("", gettext("All kinds")),
        *(SelectChoice(*one) for one in kind_choices()),
    ]
    if row is not None and row.kind not in current_registry().kinds and row.kind:
        form.kind.choices.append(SelectChoice(row.kind, row.kind))
    present = [row.label] if row is not None and row.label is not None else []
    labels = [*labels_of(LabelKind.FAMILY, keep=present), *labels_of(LabelKind.TAG, keep=present)]
    form.label_id.choices = [SelectChoice("", "–"), *(SelectChoice(str(one.id), one.title) for one in labels)]
    codes = {one.code: one.title for one in labels_of(LabelKind.FUNCTION)}
    gone = [code for code in (row.function_codes if row is not None else []) if code not in codes]
    form.function_codes.choices = [
        *(SelectChoice(code, title) for code, title in codes.items()),
        *(SelectChoice(code, gettext("%(code)s (no longer there)", code=code)) for code in gone),
    ]
    if "archive_folder" in form and archive.root() is None:
        form.archived.description = form.archive_sent.description = archive.problem()
    return form


def _values(form: RuleForm) -> service.RuleValues:
    return service.RuleValues(
        company_id=int(form.company_id.data),
        kind=form.kind.data or "",
        partner_id=form.partner_id.data or None,
        label_id=int(form.label_id.data) if form.label_id.data else None,
        on_paper=form.on_paper.data,
        to_main=form.to_main.data,
        function_codes=list(form.function_codes.data or []),
        archived=form.archived.data,
        archive_folder=form.archive_folder.data or "",
        archive_name=form.archive_name.data or "",
        archive_sent=form.archive_sent.data,
        archive_keep_days=form.archive_keep_days.data,
        ask_first=form.ask_first.data,
        automatic=form.automatic.data,
        grace_minutes=form.grace_minutes.data or 0,
        active=form.active.data,
    )


@blueprint.get("/rules")
@requires(READ)
def rules() -> ResponseReturnValue:
    """Show the table of rules, and which applies to a customer."""
    user = signed_in_user()
    customer = _customer()
    kind = request.args.get("kind", "")
    decisions: list[tuple[str, str, Decision]] = []
    companies = service.companies_with(user, READ)
    if customer is not None:
        kinds = [one for one in kind_choices() if kind in {"", one[0]}]
        cases = [(company, name, title) for company in companies for name, title in kinds]
        found = decisions_about([(company.id, name, customer) for company, name, _title in cases])
        decisions = [
            (company.name, title, decision)
            for (company, _name, title), decision in zip(cases, found, strict=True)
        ]
    return render_template(
        "distribution/rules.html",
        page=paginate(service.rules_of(user), RULES),
        customer=customer,
        asked=bool(request.args.get("customer", "").strip()),
        kinds=kind_choices(),
        kind=kind,
        titles=dict(kind_choices()),
        decisions=decisions,
        several=len(companies) > 1,
        codes=_codes(),
        way_titles=WAY_TITLES,
        way_icons=WAY_ICONS,
        field=_which_field(),
    )


class WhichForm(RecordForm):
    """For whom somebody asks which rule applies."""

    class Meta:
        """It changes nothing."""

        csrf = False

    customer = PartnerField(_l("Customer"), contacts=True, of_company=False)


def _which_field() -> PartnerField:
    field: PartnerField = WhichForm(request.args).customer
    return field


def _customer() -> Partner | None:
    text = request.args.get("customer", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    found = partner_for(signed_in_user(), number)
    return customer_of(found) if found is not None else None


def _codes() -> set[str]:
    return set(db.session.scalars(select(PartnerLabel.code).where(PartnerLabel.kind == LabelKind.FUNCTION)))


def _crumbs() -> list[tuple[str, str]]:
    return [(gettext("Distribution rules"), url_for("distribution.rules"))]


@blueprint.route("/rules/new", methods=["GET", "POST"])
@requires(EDIT)
def rule_new() -> ResponseReturnValue:
    """Make a rule."""
    form = _form(None)
    if request.method == "GET":
        form.company_id.data = str(current_company(signed_in_user()).id)
        form.partner_id.data = getattr(_customer(), "id", None)
    if submit(form, lambda: service.save_rule(None, _values(form))):
        return redirect(url_for("distribution.rules"))
    return render_template("core/form.html", form=form, title=gettext("New rule"), crumbs=_crumbs())


@blueprint.route("/rules/<int:rule_id>", methods=["GET", "POST"])
@requires(EDIT)
def rule(rule_id: int) -> ResponseReturnValue:
    """Change a rule."""
    row = service.rule_for(signed_in_user(), rule_id, EDIT) or abort(404)
    form = record_form(row, partial(_shown, row))
    if submit(form, lambda: service.save_rule(row, _values(form))):
        flash(gettext("The rule was saved."), "success")
        return redirect(url_for("distribution.rules"))
    return render_template(
        "distribution/rule.html", form=form, rule=row, title=gettext("Rule"), crumbs=_crumbs()
    )


@blueprint.get("/rules/<int:rule_id>/test-pdf")
@requires(EDIT)
def rule_test_pdf(rule_id: int) -> ResponseReturnValue:
    """Open the newest document that the rule is for as a PDF, under the name that it would have in the archive."""
    user = signed_in_user()
    row = service.rule_for(user, rule_id, EDIT) or abort(404)
    query = select(Document).where(
        Document.company_id == row.company_id, Document.number != "", readable_by(user)
    )
    if row.kind:
        query = query.where(Document.kind == row.kind).order_by(*NEWEST_FIRST)
    else:
        query = query.order_by(Document.id.desc())
    document = db.session.scalar(query.limit(1))
    if document is None:
        flash(gettext("There is no document yet to try it on."), "warning")
        return redirect(url_for("distribution.rule", rule_id=row.id))
    # As it is called in an email, where the rule names none.
    usual = file_name(document, document.language).removesuffix(".pdf") if row.archive_sent else ""
    with force_locale(document.company.language):
        _folder, name = archive.path_of(document, row.archive_folder, row.archive_name, usual=usual)
    data = render_document(document)
    response = send_file(BytesIO(data), "application/pdf", download_name=f"{name}.pdf")
    return for_viewer(response)


def _shown(row: Rule, **how: None) -> RuleForm:
    form = _form(row, **how)
    if not form.is_submitted() or "formdata" in how:
        form.company_id.data = str(row.company_id)
        form.label_id.data = str(row.label_id or "")
    return form


@blueprint.post("/rules/<int:rule_id>/delete")
@requires(EDIT)
def rule_delete(rule_id: int) -> ResponseReturnValue:
    """Take a rule away."""
    row = service.rule_for(signed_in_user(), rule_id, EDIT) or abort(404)
    service.delete_rule(row)
    flash(gettext("The rule was deleted."), "success")
    return redirect(url_for("distribution.rules"))
