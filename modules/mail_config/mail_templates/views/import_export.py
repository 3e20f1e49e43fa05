"""Templates as files: export, and import after a look at what it would do."""

from __future__ import annotations

from typing import cast

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.files import FileMissingError, FileStore, StoreFullError
from core.i18n import lazy_gettext as _l
from core.web.forms import submit
from modules.mail_config.blueprint import blueprint
from modules.mail_config.mail_templates import import_export
from modules.mail_config.models import MailTemplate

PLAN_SECONDS = 3600  # between looking at what a file would do, and doing it


class ImportForm(FlaskForm):  # type: ignore[misc]
    """A file of templates."""

    file = FileField(_l("File of templates"))


def _store() -> FileStore:
    return cast("FileStore", current_app.extensions["envoi_files"])


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="mail-config-import")


@blueprint.get("/templates/export")
@requires("mail_config.template.edit")
def templates_export() -> ResponseReturnValue:
    """Download the chosen templates, or all of them, as one file."""
    chosen = request.args.getlist("t", type=int)
    query = select(MailTemplate).order_by(MailTemplate.kind, MailTemplate.position, MailTemplate.id)
    if chosen:
        query = query.where(MailTemplate.id.in_(chosen[:1000]))
    response = Response(
        import_export.export_templates(db.session.scalars(query)), mimetype="application/json"
    )
    name = f"envoi-templates-{signed_in_user().today.isoformat()}.json"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@blueprint.route("/templates/import", methods=["GET", "POST"])
@requires("mail_config.template.edit")
def templates_import() -> ResponseReturnValue:
    """Take a file of templates, and show what importing it would do."""
    form = ImportForm()
    plans: list[tuple[import_export.Plan, str]] = []

    def read() -> None:
        upload = request.files.get("file")
        if upload is None or not upload.filename:
            raise UserError(gettext("Choose a file that was exported from Envoi."), "file")
        data = upload.stream.read(import_export.MAX_BYTES + 1)
        plan = import_export.read_export(data)
        try:
            plans.append((plan, str(_signer().dumps(_store().put(data)))))
        except StoreFullError as error:
            raise UserError(gettext("The file could not be stored. The disk may be full."), "file") from error

    if submit(form, read):
        plan, token = plans[0]
        return render_template("mail_config/mail_templates/import.html", form=None, plan=plan, token=token)
    code = 422 if request.method == "POST" else 200
    return render_template("mail_config/mail_templates/import.html", form=form, plan=None, token=""), code


@blueprint.post("/templates/import/apply")
@requires("mail_config.template.edit")
def templates_import_apply() -> ResponseReturnValue:
    """Import the chosen templates of a file that was looked at."""
    try:
        data = _store().get(_signer().loads(request.form.get("token", ""), max_age=PLAN_SECONDS))
    except (BadSignature, FileMissingError):
        flash(gettext("The file has to be chosen again."), "warning")
        return redirect(url_for("mail_config.templates_import"))
    plan = import_export.read_export(data)
    chosen = request.form.getlist("chosen")
    if not chosen:
        flash(gettext("Nothing was chosen."), "warning")
        return render_template(
            "mail_config/mail_templates/import.html", form=None, plan=plan, token=request.form["token"]
        ), 422
    try:
        saved = import_export.apply_plan(plan, chosen, signed_in_user())
    except UserError as error:
        flash(str(error.message), "danger")
        return render_template(
            "mail_config/mail_templates/import.html", form=None, plan=plan, token=request.form["token"]
        ), 422
    words = ngettext("One template was imported.", "%(num)d templates were imported.", len(saved))
    flash(words, "success")
    return redirect(url_for("mail_config.templates"))
