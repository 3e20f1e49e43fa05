"""The signature that a user's mails end with."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from markupsafe import Markup
from wtforms import Field, HiddenField

from core.auth.permissions import signed_in, signed_in_user
from core.auth.service import MAX_SIGNATURE_LENGTH, set_signature
from core.i18n import lazy_gettext as _l
from core.mail.html import clean_html, plain_text
from core.views.blueprint import blueprint
from core.web.forms import submit
from core.web.record_form import RecordForm, record_form


class SignatureForm(RecordForm):
    """The text of the editor, as HTML."""

    signature = HiddenField(_l("Signature"))

    def as_text(self, field: Field) -> str:
        """Return the signature as its mails in plain text end."""
        return plain_text(clean_html(field.data or "")).strip()


@blueprint.route("/signature", methods=["GET", "POST"])
@signed_in
def signature() -> ResponseReturnValue:
    """Write the signature."""
    user = signed_in_user()
    form = record_form(user, lambda **how: SignatureForm(signature=user.signature_html, **how))
    if submit(form, lambda: set_signature(user, form.signature.data or "")):
        flash(
            gettext("Your signature was saved.")
            if user.signature_html
            else gettext("Your emails end without a signature now."),
            "success",
        )
        return redirect(url_for("core.signature"))
    html = render_template("core/users/signature.html", form=form, shown=_shown(form.signature.data or ""))
    return html, 422 if request.method == "POST" else 200


@blueprint.post("/signature/preview")
@signed_in
def signature_preview() -> ResponseReturnValue:
    """Show how a mail would end; nothing is kept."""
    return render_template(
        "core/users/_signature_preview.html", shown=_shown(request.form.get("signature", ""))
    )


def _shown(html: str) -> dict[str, str]:
    """Return both forms of a signature, as a mail would carry them."""
    clean = clean_html(html[:MAX_SIGNATURE_LENGTH])
    text = plain_text(clean).strip()
    return {"html": Markup(clean) if text else "", "text": text}  # noqa: S704 (cleaned one line above)
