"""The list of the outbox: its pages, its filters, its groups, what changes in it, and actions on many mails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.web.listing import Count, Criteria, ListPage, count_up_to, neighbor, paginate, read_criteria
from modules.mail_config.servers.circuit_breaker import paused_among
from modules.outbox import changes, search_index
from modules.outbox.access import MAX_LIST_LENGTH, list_come_from, mail_or_404
from modules.outbox.blueprint import blueprint
from modules.outbox.mail_list import bulk_actions, bulk_words, date_ranges, facet_counts
from modules.outbox.mail_list.filters import mail_list, reaches_several, rows
from modules.outbox.mail_list.query_plan import FILTER_GROUPS, checked, reach_parts
from modules.outbox.mail_list.rows import lines_of
from modules.outbox.mail_page.failure_text import Place, actor_title, reason_of
from modules.outbox.mail_page.repairs import EDIT_SERVERS, Repairs, repairs_of
from modules.outbox.models import BulkRun, OutgoingMail
from modules.outbox.permissions import READ, RESEND

MAX_IDS = 5000  # rows marked by hand in one request; more are chosen by their filter
MAX_LIVE = 100  # rows that the page asks about again and again
MAX_NEWS = 100  # beyond it the note says "100+ new"
BACK = "/outbox/mails"


@blueprint.get("/mails")
@requires(READ)
def mails() -> ResponseReturnValue:
    """List the mails that the user may read, or group them by the reason for which they fail or wait."""
    user = signed_in_user()
    spec = mail_list(user)
    if "from" in request.args or "to" in request.args:
        criteria = read_criteria(spec, request.args)
        days = date_ranges.between(request.args.get("from", ""), request.args.get("to", ""))
        facets = {**criteria.facets, "period": days}
        more = {name: request.args[name] for name in ("group", "panel") if name in request.args}
        return redirect(address("outbox.mails", Criteria(criteria.search, criteria.filters, facets), **more))
    if request.args.get("group") == "reason":
        return _groups(user)
    page: ListPage[OutgoingMail] = paginate(rows(), spec)
    return render_template(
        "outbox/mail_list/mails.html",
        page=page,
        lines=lines_of(page.rows, user),
        within=request.query_string.decode("ascii", "ignore")[:MAX_LIST_LENGTH],
        newest=db.session.scalar(select(func.max(OutgoingMail.id))) or 0,
        topics=[
            *changes.new_mails(user),
            *(changes.mail(row.id) for row in page.rows),
        ],
        **_frame(page, user),
    )


def _groups(user: User) -> ResponseReturnValue:
    spec = mail_list(user)
    criteria = read_criteria(spec, request.args)
    page: ListPage[OutgoingMail] = ListPage(
        [],
        spec,
        spec.sorts[0],
        True,
        criteria.search,
        criteria.filters,
        extra={"group": "reason"},
        facets=criteria.facets,
    )
    state = {"failed", "waiting"} & set(criteria.filters)
    found = [
        group
        for group in facet_counts.groups(user, _without_states(criteria))
        if not state or ("waiting" if group.waiting else "failed") in state
    ]
    repairs: dict[object, Repairs] = {}
    servers = [group.server.id for group in found if group.server is not None]
    return render_template(
        "outbox/mail_list/groups.html",
        page=page,
        groups=[_group_view(group, criteria, user, repairs) for group in found],
        paused=paused_among(servers),
        **_frame(page, user),
    )


def _group_view(
    group: facet_counts.Group, criteria: Criteria, user: User, repairs: dict[object, Repairs]
) -> dict[str, Any]:
    """Return what the page shows of a group; `repairs` keeps what other groups have found out."""
    of_group = Criteria(
        criteria.search,
        (*_without_states(criteria).filters, "waiting" if group.waiting else "failed"),
        {**criteria.facets, **group.facets},
    )
    reason = reason_of(group.sample)
    assert reason is not None  # noqa: S101 (mails without a reason are in no group)
    # Of the places of repair, those that are the same for the whole group.
    place = (
        None
        if reason.place in {None, Place.DOCUMENT, Place.RECIPIENT, Place.MAIL, Place.UNCERTAIN}
        else (reason.place, user.can(EDIT_SERVERS) and group.server and group.server.id)
    )
    if place is not None and place not in repairs:
        repairs[place] = repairs_of(group.sample, reason, user, may_resend=False, may_duplicate=False)
    return {
        "group": group,
        "reason": reason,
        "actor": actor_title(reason.actor),
        "repairs": repairs.get(place),
        "decided_singly": reason.place is Place.UNCERTAIN,
        "url": address("outbox.mails", of_group),
        "bulk_url": address("outbox.bulk", of_group),
    }


def _without_states(criteria: Criteria) -> Criteria:
    kept = tuple(name for name in criteria.filters if FILTER_GROUPS[name] != "state")
    return Criteria(criteria.search, kept, criteria.facets)


def _frame(page: ListPage[Any], user: User) -> dict[str, Any]:
    """Return what the list and the groups show alike."""
    panel = address("outbox.mails_filters", page.criteria, group=page.extra.get("group"))
    return {
        "may_act": user.can(RESEND),
        "several": reaches_several(user),
        "runs": bulk_actions.runs_of(user) if user.can(RESEND) else [],
        "run_title": bulk_words.title,
        "run_outcome": bulk_words.outcome,
        "panel_url": panel,
        "panel_open": "panel" in request.args,
        "only_newest": search_index.only_newest(page.search),
        "window": Count(search_index.WINDOW),
        "bulk_url": address("outbox.bulk", page.criteria),
        "matching_url": address("outbox.mails_matching", page.criteria),
        "live_url": address("outbox.mails_live", page.criteria),
        "fresh_url": address("outbox.mails", page.criteria),
    }


def address(endpoint: str, criteria: Criteria, **more: Any) -> str:
    """Return the address of a page about what the list is narrowed to."""
    values: Mapping[str, Any] = {
        **criteria.facets,
        "q": criteria.search or None,
        "f": list(criteria.filters) or None,
        **more,
    }
    return url_for(endpoint, **{name: value for name, value in values.items() if value})


@blueprint.get("/technical")
@requires("outbox.mail.inspect")
def technical_mails() -> ResponseReturnValue:
    """Lead from the technical menu to the list, failures first."""
    return redirect(url_for("outbox.mails", f="failed"))


@blueprint.get("/mails/filters")
@requires(READ)
def mails_filters() -> ResponseReturnValue:
    """Show the panel of filters, with how many mails each value would leave."""
    user = signed_in_user()
    spec = mail_list(user)
    criteria = read_criteria(spec, request.args)
    extra = {"panel": "1"}
    if request.args.get("group") == "reason":
        extra["group"] = "reason"
    page: ListPage[OutgoingMail] = ListPage(
        [],
        spec,
        spec.sorts[0],
        True,
        criteria.search,
        criteria.filters,
        extra=extra,
        facets=criteria.facets,
        endpoint="outbox.mails",
    )
    first, last = date_ranges.days_of(criteria.facets.get("period", ""))
    return render_template(
        "outbox/mail_list/_filters.html",
        page=page,
        tallies=facet_counts.tally(user, criteria),
        first=first,
        last=last,
        action=url_for("outbox.mails"),
    )


@blueprint.get("/mails/matching")
@requires(RESEND)
def mails_matching() -> ResponseReturnValue:
    """Offer to select all mails that match, and say how many they are."""
    user = signed_in_user()
    count = bulk_actions.matching(user, read_criteria(mail_list(user), request.args))
    return render_template("core/lists/_matching.html", count=count)


@blueprint.get("/mails/live")
@requires(READ)
def mails_live() -> ResponseReturnValue:
    """Return those lines of a page that have changed since it was made, and how many mails are new."""
    user = signed_in_user()
    known: dict[int, str] = {}
    for pair in request.args.getlist("row")[:MAX_LIVE]:
        mail_id, _, version = pair.partition(":")
        if mail_id.isascii() and mail_id.isdigit() and int(mail_id) < 2**31:
            known[int(mail_id)] = version
    mine = [part.check for part in reach_parts(user, READ)]
    found = db.session.scalars(rows().where(OutgoingMail.id.in_(known), *mine)).all()
    changed = [line for line in lines_of(found, user) if line.version != known[line.mail.id]]
    criteria = read_criteria(mail_list(user), request.args)
    seen = max(0, min(request.args.get("newest", 0, type=int), 2**31 - 1))
    news = Count(0)
    if (db.session.scalar(select(func.max(OutgoingMail.id))) or 0) > seen:
        later = checked(select(OutgoingMail.id), user, READ, criteria).where(OutgoingMail.id > seen)
        news = count_up_to(later, MAX_NEWS)
    return render_template(
        "outbox/mail_list/_live.html",
        lines=changed,
        within=request.args.get("within", "")[:MAX_LIST_LENGTH],
        news=news,
        fresh_url=address("outbox.mails", criteria),
        may_act=user.can(RESEND),
        several=reaches_several(user),
    )


@blueprint.get("/mails/<int:mail_id>/previous")
@requires(READ)
def mail_previous(mail_id: int) -> ResponseReturnValue:
    """Lead to the mail before one, in the list that it was opened from."""
    return _neighbor(mail_id, before=True)


@blueprint.get("/mails/<int:mail_id>/next")
@requires(READ)
def mail_next(mail_id: int) -> ResponseReturnValue:
    """Lead to the mail after one, in the list that it was opened from."""
    return _neighbor(mail_id, before=False)


def _neighbor(mail_id: int, *, before: bool) -> ResponseReturnValue:
    user, come_from = signed_in_user(), list_come_from()
    row = mail_or_404(mail_id)
    arguments = MultiDict(parse_qsl(come_from.get("in", "")))
    found = neighbor(select(OutgoingMail), mail_list(user), arguments, row, before=before)
    if found is None:
        flash(
            gettext("This is the first email of the list.")
            if before
            else gettext("This is the last email of the list."),
            "info",
        )
    return redirect(url_for("outbox.mail", mail_id=mail_id if found is None else found, **come_from))


@blueprint.post("/mails/bulk")
@requires(RESEND)
def bulk() -> ResponseReturnValue:
    """Retry, send now or cancel the selected mails, or all that match."""
    user = signed_in_user()
    name = request.form.get("action", "")
    if name not in bulk_words.Action.__members__.values():
        abort(400)
    action = bulk_words.Action(name)
    if "all" in request.form:
        done = bulk_actions.act_on_all(action, read_criteria(mail_list(user), request.args), user)
    else:
        wanted = [
            int(value)
            for value in request.form.getlist("id")[:MAX_IDS]
            if value.isascii() and value.isdigit() and int(value) < 2**31
        ]
        done = bulk_actions.act_on(action, wanted, user)
    if not isinstance(done, BulkRun):
        flash(bulk_words.sentence(action, done), "success" if done.changed else "info")
    back = request.form.get("back", "")
    return redirect(back if back == BACK or back.startswith(f"{BACK}?") else url_for("outbox.mails"))


@blueprint.get("/bulk/<int:run_id>")
@requires(RESEND)
def bulk_progress(run_id: int) -> ResponseReturnValue:
    """Show how far a run over many mails is."""
    return _run(run_id)


@blueprint.post("/bulk/<int:run_id>/stop")
@requires(RESEND)
def bulk_stop(run_id: int) -> ResponseReturnValue:
    """Stop a run over many mails."""
    if not bulk_actions.run_of(signed_in_user(), run_id):
        abort(404)
    bulk_actions.stop(run_id, signed_in_user())
    return _run(run_id) if request.headers.get("HX-Request") else redirect(url_for("outbox.mails"))


def _run(run_id: int) -> str:
    run = bulk_actions.run_of(signed_in_user(), run_id) or abort(404)
    return render_template(
        "outbox/mail_list/_run.html", run=run, run_title=bulk_words.title, run_outcome=bulk_words.outcome
    )
