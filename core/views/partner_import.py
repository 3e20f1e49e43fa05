"""Customers from a file, and into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.imports.models import ImportRow
from core.imports.subject import NEW_LABELS
from core.partners.export import partners_table
from core.partners.imports.columns import COLUMNS
from core.partners.imports.judging import LABELS
from core.partners.labels import PartnerLabel
from core.partners.listing import PARTNERS
from core.partners.models import Partner
from core.partners.reach import EDIT, reachable
from core.pickers import ReachField
from core.views.blueprint import blueprint
from core.views.imports import ImportPages, UploadForm, register
from core.views.partners import usual_reach
from core.web.criteria import read_criteria
from core.web.downloads import TableFile, table_download

_TITLES = {column.name: column.title for column in COLUMNS}
_NAMED = {"family_id": "family", "label_ids": "tags", "company_id": "", "owner_id": "", "parent_id": "parent"}


class PartnersForm(UploadForm):
    """A file, and whose its new customers are."""

    reach = ReachField(_l("New customers are visible to"))


def _form(user: User) -> PartnersForm:
    form = PartnersForm(reach=usual_reach(user))
    form.reach.offer(user)
    return form


def _links(rows: Sequence[ImportRow]) -> dict[int, tuple[str, str]]:
    numbers = [row.partner_id for row in rows if row.partner_id is not None]
    found = db.session.execute(
        select(Partner.id, Partner.name).where(Partner.id.in_(numbers), reachable(signed_in_user()))
    )
    return {number: (url_for("core.partner", partner_id=number), name) for number, name in found}


def _shown_column(name: str) -> str:
    if name == NEW_LABELS:
        return str(gettext("New in the lists"))
    title = _TITLES.get(_NAMED.get(name, name))
    return str(gettext(title)) if title is not None else ""


class _Values:
    """Values of rows as people read them: ids by their names."""

    def __init__(self, rows: Sequence[ImportRow]) -> None:
        values = [values for row in rows for values in (row.before, row.after)]
        numbers = {
            *(number for some in values for number in some.get("label_ids") or ()),
            *(some["family_id"] for some in values if some.get("family_id")),
        }
        labels = db.session.scalars(select(PartnerLabel).where(PartnerLabel.id.in_(numbers)))
        self._labels = {label.id: label.title for label in labels}
        parents = {some["parent_id"] for some in values if some.get("parent_id")}
        rows_of = db.session.execute(select(Partner.id, Partner.name).where(Partner.id.in_(parents)))
        self._parents = {number: name for number, name in rows_of}  # noqa: C416

    def shown(self, name: str, value: Any) -> str:
        """Return a value in words."""
        words: Any = value
        if name == "label_ids":
            words = [self._labels.get(number, "?") for number in value]
        elif name == "family_id" and value:
            words = self._labels.get(value, "?")
        elif name == "parent_id":
            words = self._parents.get(value, "") or gettext("a customer of this file")
        elif name == "consent_at" and value:
            words = value[:10]
        elif isinstance(value, bool):
            words = gettext("yes") if value else gettext("no")
        return (", ".join(map(str, words)) if isinstance(words, list) else str(words or "")) or "–"


def _words(rows: Sequence[ImportRow]) -> tuple[Callable[[str, Any], str], Callable[[str], str]]:
    return _Values(rows).shown, _shown_column


register(
    ImportPages(
        subject="partners",
        one="partner",
        path="/partners",
        permission=EDIT,
        list_endpoint="core.partners",
        list_title=N_("Customers"),
        title=N_("Import customers"),
        known=N_("A row is a customer that is here already when it has the same"),
        row_title=N_("Customer"),
        form=_form,
        whose=lambda form: dict(form.reach.columns),
        links=_links,
        words=_words,
        may_make_labels=lambda user: user.can(LABELS),
    )
)


@blueprint.get("/partners/export")
@requires("core.partner.read")
def partners_export() -> ResponseReturnValue:
    """Return the customers that the list is narrowed to, with their contacts, as a file: CSV unless XLSX is wanted."""
    criteria = read_criteria(PARTNERS, request.args, ("customers",))
    form = TableFile.XLSX if request.args.get("form") == TableFile.XLSX else TableFile.CSV
    return table_download(partners_table(signed_in_user(), criteria), form)
