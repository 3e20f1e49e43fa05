"""Customers that are there twice, and making one of two."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm

from core.auth.permissions import requires, signed_in_user
from core.i18n import lazy_gettext as _l
from core.partners.duplicates import duplicates
from core.partners.merging import merge, why_not_merged
from core.partners.models import Partner
from core.partners.reach import EDIT, partner_for
from core.partners.titles import CONSENT_TITLES
from core.pickers import PartnerField
from core.views.blueprint import blueprint
from core.web.forms import required, submit


class MergeForm(FlaskForm):  # type: ignore[misc]
    """The other one."""

    other_id = PartnerField(
        _l("The same as"),
        required(),
        contacts=True,
        of_company=False,
        description=_l("Goes into the one above, and is archived."),
    )


@blueprint.get("/partners/duplicates")
@requires(EDIT)
def partner_duplicates() -> ResponseReturnValue:
    """Show customers that seem to be the same."""
    return render_template("core/partners/duplicates.html", found=duplicates(signed_in_user()))


@blueprint.route("/partners/<int:partner_id>/merge", methods=["GET", "POST"])
@requires(EDIT)
def partner_merge(partner_id: int) -> ResponseReturnValue:
    """Choose the other one, look at both, and make one of them."""
    user = signed_in_user()
    kept = partner_for(user, partner_id, EDIT) or abort(404)
    if kept.merged_into_id is not None:
        return redirect(url_for("core.partner", partner_id=kept.id))
    chosen = request.args.get("other_id", "")
    form = MergeForm(
        other_id=int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) <= 9 else None
    )
    number = form.other_id.data
    other = partner_for(user, number, EDIT) if isinstance(number, int) else None
    if submit(form, lambda: merge(kept.id, form.other_id.data or 0, user)):
        flash(gettext("%(name)s is one customer now.", name=kept.name), "success")
        return redirect(url_for("core.partner", partner_id=partner_id))
    problem = why_not_merged(kept, other) if other is not None else None
    return render_template(
        "core/partners/merge.html",
        form=form,
        kept=kept,
        other=other,
        problem=problem.message if problem is not None else "",
        rows=_compared(kept, other) if other is not None else [],
    )


def _compared(kept: Partner, other: Partner) -> list[tuple[str, str, str]]:
    """Return what both say, by the title."""

    def said(partner: Partner) -> list[tuple[str, str]]:
        return [
            (gettext("Name"), partner.name),
            (gettext("Customer number"), partner.number),
            (gettext("Email address"), partner.email),
            (gettext("Phone"), partner.phone),
            (gettext("Address"), ", ".join(x for x in (partner.street, partner.zip_code, partner.city) if x)),
            (gettext("VAT number"), partner.vat),
            (gettext("Family"), partner.family.name if partner.family is not None else ""),
            (gettext("Tags"), ", ".join(label.title for label in partner.labels)),
            (gettext("Emails wanted"), str(CONSENT_TITLES[partner.consent])),
            (gettext("Contacts"), ", ".join(contact.name for contact in partner.contacts)),
        ]

    return [(title, mine, theirs) for (title, mine), (_, theirs) in zip(said(kept), said(other), strict=True)]
