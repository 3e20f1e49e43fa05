"""*Sales › Distribution*: the history of what went, and *Distribute* for what is selected in a list."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone, gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.reach import partner_for
from core.partners.service import customer_of
from core.pickers import PartnerField
from core.selection import back_to, list_or_404, read_selection
from core.spreadsheets import Cell, Column, Format, Table
from core.web.downloads import posted_form, table_download
from core.web.record_form import RecordForm
from modules.distribution import distributing, history
from modules.distribution.blueprint import blueprint
from modules.distribution.models import Way
from modules.distribution.permissions import DISTRIBUTE
from modules.distribution.views.rules import kind_choices
from modules.distribution.words import HISTORY_TITLES, OTHERWISE, RESULT_TITLES, WAY_ICONS, WAY_TITLES

EXPORTED = 10_000
"""Lines that one file takes; a shorter period takes the rest."""
SHOWN = 50
"""Documents that the page before *Distribute* names, of those that do not go."""


class CustomerForm(RecordForm):
    """Of which customer the history is."""

    class Meta:
        """It changes nothing."""

        csrf = False

    customer = PartnerField(_l("Customer"), contacts=True, of_company=False)


def _asked(given: Any) -> history.Asked:
    user = signed_in_user()
    zone = zoneinfo.ZoneInfo(user.timezone)
    since, until = _day(given.get("since", "")), _day(given.get("until", ""))
    text = given.get("customer", "")
    partner = partner_for(user, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else None
    way, result = given.get("way", ""), given.get("result", "")
    return history.Asked(
        _midnight(since, zone) if since is not None else None,
        _midnight(until + dt.timedelta(days=1), zone) if until is not None else None,
        given.get("kind", "")[:60],
        customer_of(partner).id if partner is not None else None,
        way if way in {OTHERWISE, *HISTORY_TITLES} else "",
        result if result in history.RESULTS else "",
    )


def _day(text: str) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9999 else None


def _midnight(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


@blueprint.get("/history", endpoint="history")
@requires(DISTRIBUTE)
def history_page() -> ResponseReturnValue:
    """Show what went, newest first."""
    user = signed_in_user()
    asked = _asked(request.args)
    entries, after = history.page(asked, user, history.Place.parse(request.args.get("after", "")))
    chosen: dict[str, Any] = {
        name: request.args[name]
        for name in ("since", "until", "kind", "customer", "way", "result")
        if request.args.get(name)
    }
    return render_template(
        "distribution/history.html",
        entries=entries,
        older=url_for("distribution.history", **chosen, after=str(after)) if after is not None else "",
        newest=url_for("distribution.history", **chosen) if "after" in request.args else "",
        chosen=chosen,
        field=CustomerForm(request.args).customer,
        kinds=kind_choices(),
        sendable=history.sendable(entries, user),
        distributable=history.distributable(entries, user),
        way_titles=HISTORY_TITLES,
        otherwise=OTHERWISE,
        way_icons=WAY_ICONS,
        result_titles=RESULT_TITLES,
    )


@blueprint.post("/history/table")
@requires(DISTRIBUTE)
def history_table() -> ResponseReturnValue:
    """Take the history away as a table, as it is narrowed."""
    form = posted_form()
    columns = [
        Column(gettext("When"), Format.MOMENT),
        Column(gettext("How")),
        Column(gettext("Document")),
        Column(gettext("Number"), width=20),
        Column(gettext("Customer"), width=32),
        Column(gettext("To"), width=40),
        Column(gettext("By")),
        Column(gettext("Result")),
        Column(gettext("Reason or note"), width=40),
    ]
    rows: Iterator[Sequence[Cell]] = (
        [
            one.place.at,
            str(HISTORY_TITLES[one.way]),
            one.kind,
            one.document.number if one.document is not None else "",
            one.customer,
            one.to,
            one.by,
            one.result,
            one.detail,
        ]
        for entry in history.all_of(_asked(request.form), signed_in_user(), EXPORTED)
        for one in entry.each()
    )
    return table_download(Table(gettext("Distribution"), columns, rows, get_timezone()), form)


@blueprint.post("/distribute/<name>")
@requires(DISTRIBUTE)
def distribute(name: str) -> ResponseReturnValue:
    """Show how what is selected in a list would go, each by its rule; with `start`, let it go."""
    user = signed_in_user()
    declared = list_or_404(name, user, "document")
    selection = read_selection(declared)
    try:
        if "start" not in request.form:
            plan = distributing.plan(selection, user)
            return render_template(
                "distribution/distribute.html",
                plan=plan,
                declared=declared,
                shown=SHOWN,
                ids=request.form.getlist("id"),
                all=request.form.get("all"),
                criteria=request.form.get("criteria", ""),
                way_titles=WAY_TITLES,
                way_icons=WAY_ICONS,
            )
        plan, run = distributing.start(selection, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return back_to(declared)
    paper, files = len(plan.by_way[Way.PAPER]), len(plan.by_way[Way.ARCHIVE])
    if paper:
        flash(
            ngettext("%(num)d document waits to be printed.", "%(num)d documents wait to be printed.", paper),
            "success",
        )
    if files:
        flash(
            ngettext("%(num)d document is being archived.", "%(num)d documents are being archived.", files),
            "success",
        )
    if run is not None:
        return redirect(url_for("outbox.run", run_id=run.id))
    return redirect(url_for("distribution.to_print")) if paper else back_to(declared)
