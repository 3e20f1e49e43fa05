"""The test mail of a template that is being edited."""

from __future__ import annotations

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.mail_config.editor.preview import chosen_subject, posted_template, preview_of
from modules.mail_config.template_language.fields import template_kinds
from modules.outbox.blueprint import blueprint
from modules.outbox.compose.template_test import send_test


@blueprint.post("/template-test/<kind>")
@requires("outbox.mail.send")
def template_test(kind: str) -> ResponseReturnValue:
    """Send a test of the template as it stands on the page, saved or not, to the signed-in user."""
    user = signed_in_user()
    if kind not in template_kinds():
        abort(404)
    if not user.can("mail_config.template.edit"):
        abort(403)
    typed, document = posted_template(kind), chosen_subject(kind, user)
    mail, error = None, ""
    try:
        mail = send_test(preview_of(typed, document, request.form.get("preview_language", "")), user)
    except UserError as failure:
        error = str(failure.message)
    if mail is not None and not request.headers.get("HX-Request"):
        return redirect(url_for("outbox.mail", mail_id=mail.id))
    return render_template("outbox/panels/template_test_result.html", mail=mail, error=error, user=user)
