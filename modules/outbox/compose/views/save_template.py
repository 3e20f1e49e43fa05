"""The text of a mail becomes a template, for its writer, the company or everybody: it is shown first, made general."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.contract import Scope
from core.documents.models import Document
from core.errors import UserError
from modules.mail_config.from_mail.generalize import generalize
from modules.mail_config.mail_templates.service import save_template, withdraw_template
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions
from modules.outbox.compose.draft import signature_of
from modules.outbox.compose.views.page import sendable
from modules.outbox.html_body import clean_html, plain_text

MAX_NAME = 120


def _whose(reach: str, document: Document, user: User) -> dict[str, int | None]:
    """Return the columns that say for whom a template is saved."""
    if reach == Scope.ALL:
        return {"company_id": None, "owner_id": None}
    return {"company_id": document.company_id if reach == Scope.COMPANY else None, "owner_id": user.id}


@blueprint.post("/compose/<int:document_id>/save-template")
@requires("mail_config.template.add")
def compose_save_template(document_id: int) -> ResponseReturnValue:
    """Show what would be saved as a template, and save it."""
    document, user = sendable(document_id), signed_in_user()
    form = actions.posted_form(document, request.form, user)
    template = actions.template_of(document, form.draft.template_id, user)
    name, chosen = request.form.get("name", "").strip(), request.form.get("reach", Scope.OWN)
    reaches = {
        Scope.OWN: gettext("me"),
        Scope.COMPANY: gettext("everybody in %(company)s", company=document.company.name),
    }
    if user.can("mail_config.template.edit"):
        reaches[Scope.ALL] = gettext("all companies")
    # Nobody else signs with this person's name, and pictures belong to this mail.
    general = generalize(
        document,
        template,
        form.draft.language,
        form.draft.subject,
        form.draft.body_html,
        ending=signature_of(user),
    )
    error, saved, withdrawn = "", None, ""
    try:
        if request.form.get("withdraw"):
            withdrawn = withdraw_template(request.form.get("withdraw", 0, int), user)
        elif request.form.get("save"):
            if not name or len(name) > MAX_NAME:
                raise UserError(
                    gettext("Give the template a name of at most %(max)s characters.", max=MAX_NAME)
                )
            if chosen not in reaches:
                raise UserError(gettext("Only who manages templates saves one for all companies."))
            saved = save_template(
                None,
                kind=document.kind,
                values={
                    "name": name,
                    **_whose(chosen, document, user),
                    # What was written for one customer is nobody else's business.
                    "partner_id": template.partner_id if template else None,
                },
                texts={form.draft.language: (general.subject, general.body)},
                by=user,
            )
    except UserError as problem:
        error = str(problem.message)
    return render_template(
        "outbox/compose/_save_template.html",
        document=document,
        form=form,
        general=general,
        text=plain_text(clean_html(general.body)),
        name=name,
        reaches=list(reaches.items()),
        reach=chosen,
        error=error,
        saved=saved,
        withdrawn=withdrawn,
    ), 422 if error else 200
