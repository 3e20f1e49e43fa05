"""Variables of one's own: the list, the page of one, and what it comes to on a document."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from wtforms import StringField, TextAreaField

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.documents.locale import speaking
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.pickers import CompanyField
from core.web.forms import at_most, required, submit
from core.web.record_form import RecordForm, record_form
from modules.mail_config.blueprint import blueprint
from modules.mail_config.editor.preview import chosen_subject
from modules.mail_config.editor.views.fields import document_label, field_groups
from modules.mail_config.mail_templates import service, variables
from modules.mail_config.mail_templates.views.listing import kind_or_404
from modules.mail_config.models import TemplateVariable
from modules.mail_config.template_language import own_variables
from modules.mail_config.template_language.fields import plain_catalogue, plain_values_of, template_kinds
from modules.mail_config.template_language.own_variables import GROUP, Variable
from modules.mail_config.template_language.values import FormulaError, shown


class VariableForm(RecordForm):
    """A variable."""

    label = StringField(
        _l("Name"), [*required(), at_most(120)], description=_l("As it stands in the list of fields")
    )
    code = StringField(
        _l("Code"),
        [*required(), at_most(60)],
        description=_l("Templates write it as own.code; for example opening_hours"),
    )
    company_id = CompanyField(
        _l("Company"),
        description=_l("One of a company goes before the one for all under the same code."),
    )
    formula = TextAreaField(
        _l("Field or formula"),
        [*required(), at_most(4000)],
        render_kw={"rows": 3, "spellcheck": "false"},
        description=_l(
            "A field, such as customer.country; a text between quotation marks; or a formula of both, such as "
            "contact.name | default(customer.name)"
        ),
    )


@blueprint.get("/templates/variables")
@requires("mail_config.template.edit")
def template_variables() -> ResponseReturnValue:
    """List the variables by kind, each with what is wrong with it."""
    kinds = template_kinds()
    by_kind = {kind: variables.variables_of(kind) for kind in kinds}
    problems = {
        row.id: own_variables.gone_field(
            Variable(row.code, row.label, row.formula, row.company_id),
            [spec.name for spec in plain_catalogue(kind)],
        )
        for kind, rows in by_kind.items()
        for row in rows
    }
    return render_template(
        "mail_config/mail_templates/variables.html", by_kind=by_kind, problems=problems, group=GROUP
    )


@blueprint.route("/templates/variables/new/<kind>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_variable_new(kind: str) -> ResponseReturnValue:
    """Make a variable for the templates of a kind."""
    return _edit(None, kind_or_404(kind))


@blueprint.route("/templates/variables/<int:variable_id>", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def template_variable(variable_id: int) -> ResponseReturnValue:
    """Change a variable."""
    row = db.session.get(TemplateVariable, variable_id) or abort(404)
    return _edit(row, kind_or_404(row.kind))


def _edit(row: TemplateVariable | None, kind: str) -> ResponseReturnValue:
    form = VariableForm() if row is None else record_form(row, partial(VariableForm, obj=row))

    def save() -> None:
        variables.save_variable(
            row,
            kind=kind,
            code=form.code.data or "",
            label=form.label.data or "",
            formula=form.formula.data or "",
            company_id=form.company_id.data,
        )

    if submit(form, save):
        flash(gettext("The variable was saved."), "success")
        return redirect(url_for("mail_config.template_variables"))
    plain = {spec.name for spec in plain_catalogue(kind)}
    groups = [
        (title, [field for field in fields if field.name in plain])
        for title, fields in field_groups(kind, service.samples(kind, None, signed_in_user().language))
    ]
    return render_template(
        "mail_config/mail_templates/variable.html",
        form=form,
        row=row,
        kind=kind,
        groups=[(title, fields) for title, fields in groups if fields],
        used_by=variables.templates_using(kind, row.code) if row is not None else [],
        title=row.label if row is not None else gettext("New variable"),
    )


@blueprint.post("/templates/variables/value/<kind>")
@requires("mail_config.template.edit")
def template_variable_value(kind: str) -> ResponseReturnValue:
    """Say what the formula on the page comes to on the newest document, or what is wrong with it."""
    formula = variables.tidy_formula(request.form.get("formula", "")[:5000])
    problems = variables.problems_of(kind_or_404(kind), formula) if formula else []
    value = name = ""
    if formula and not problems:
        document = chosen_subject(kind, signed_in_user())
        if document is not None:
            name = document_label(document)
            try:
                with speaking(document, document.language):
                    value = shown(
                        own_variables.value_of(
                            Variable("…", "", formula), plain_values_of(document), currency=document.currency
                        )
                    )
            except (FormulaError, UserError) as error:
                problems = [str(error)]
    return render_template(
        "mail_config/mail_templates/_variable_value.html",
        formula=formula,
        problems=problems,
        value=value,
        name=name,
    )


@blueprint.post("/templates/variables/<int:variable_id>/delete")
@requires("mail_config.template.edit")
def template_variable_delete(variable_id: int) -> ResponseReturnValue:
    """Delete a variable that no template uses."""
    row = db.session.get(TemplateVariable, variable_id) or abort(404)
    variables.delete_variable(row)
    flash(gettext("The variable was deleted."), "success")
    return redirect(url_for("mail_config.template_variables"))
