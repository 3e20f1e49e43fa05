"""Users: who may sign in."""

from __future__ import annotations

from functools import partial

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import login_user
from flask_wtf import FlaskForm
from sqlalchemy import false, select, true
from wtforms import (
    BooleanField,
    EmailField,
    PasswordField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)

from core.auth import links
from core.auth.granting import may_hand_on
from core.auth.models import Role, User, user_company
from core.auth.passwords import MINIMUM_PASSWORD_LENGTH
from core.auth.permissions import requires, signed_in_user
from core.auth.service import companies_of, save_user, set_active
from core.companies.models import Company
from core.db import db
from core.db.changes import note_change
from core.i18n import N_, format_datetime, ngettext
from core.i18n import lazy_gettext as _l
from core.mail.addresses import parse_addresses
from core.matching import found_in
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, region_choices, timezone_choices
from core.web.forms import at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import RecordForm, Shown, record_form

SORTS = (
    SortKey("name", N_("Name"), User.name, lambda row: row.name),
    SortKey("login", N_("Email address"), User.login, lambda row: row.login),
    SortKey("created", N_("Created"), User.created_at, lambda row: row.created_at, descending=True),
)


class UserForm(RecordForm):
    """A user; the choices come from the database."""

    name = StringField(_l("Name"), [*required(), at_most(120)])
    login = EmailField(
        _l("Email address"),
        [*required(), at_most(254)],
        description=_l("Signs in with it, and gets alerts there."),
        render_kw={"autocomplete": "off"},
    )
    roles = SelectMultipleField(_l("Roles"), render_kw={"data-search": ""})
    companies = SelectMultipleField(_l("Companies"), coerce=int, render_kw={"data-search": ""})
    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES)
    country = SelectField(_l("Dates and numbers"), default="", render_kw={"data-search": ""})
    timezone = SelectField(_l("Time zone"), render_kw={"data-search": ""})
    password = PasswordField(_l("Password"), render_kw={"autocomplete": "new-password"})
    active = BooleanField(_l("Active"), default=True, description=_l("May sign in."))


def _all_roles() -> list[Role]:
    return list(db.session.scalars(select(Role).order_by(Role.name, Role.id)))


def _form(user: User | None, **how: None) -> UserForm:
    """Return the form with what can be chosen, filled with the user."""
    present = companies_of(user) if user else []
    if user is None:
        me = signed_in_user()
        form = UserForm(language=me.language, timezone=me.timezone)
    else:
        codes = [role.code for role in user.roles]
        form = UserForm(obj=Shown(user, roles=codes, companies=present), **how)
    held = {role.code for role in user.roles} if user else set()
    form.roles.choices = [
        SelectChoice(role.code, gettext(role.name))
        for role in _all_roles()
        if role.code in held or may_hand_on(signed_in_user(), role)
    ]
    offered = select(Company).where(Company.active | Company.id.in_(present)).order_by(Company.name)
    form.companies.choices = [
        SelectChoice(company.id, company.name) for company in db.session.scalars(offered)
    ]
    form.country.choices = region_choices(user.country if user else "")
    form.timezone.choices = timezone_choices(user.timezone if user else "")
    if user is None:
        form.password.description = _l(
            "Leave it empty to invite the person, who chooses it by a link. At least %(count)s characters.",
            count=MINIMUM_PASSWORD_LENGTH,
        )
    else:
        form.password.label.text = gettext("New password")
        form.password.description = (
            _l("Leave it empty: the person chooses it by the link.")
            if user.invited
            else _l("Leave it empty to keep the present one. A new one ends every session.")
        )
    return form


def _invite(form: UserForm) -> User:
    """Make a user who is sent a link by which to choose a password, and say what becomes of it."""
    user, hindrance = links.invite(
        login=form.login.data,
        name=form.name.data,
        roles=form.roles.data,
        company_ids=form.companies.data,
        language=form.language.data,
        timezone=form.timezone.data,
        by=signed_in_user(),
    )
    _tell_of_the_email(user, hindrance)
    return user


def _tell_of_the_email(user: User, hindrance: str) -> None:
    if hindrance:
        words = gettext("Use “Link to copy”, and hand it over yourself.")
        flash(f"{hindrance} {words}", "warning")
    else:
        flash(gettext("An email with a link is on its way to %(login)s.", login=user.login), "success")


def _save(user: User | None, form: UserForm) -> User:
    saved = save_user(
        user,
        login=form.login.data,
        name=form.name.data,
        roles=form.roles.data,
        company_ids=form.companies.data,
        language=form.language.data,
        country=form.country.data,
        timezone=form.timezone.data,
        password=form.password.data or None,
        active=form.active.data,
        by=signed_in_user(),
    )
    if saved.id == signed_in_user().id and saved.active:
        login_user(saved)  # a new password ends every session but this one
    return saved


@blueprint.get("/users")
@requires("core.user.edit")
def users() -> ResponseReturnValue:
    """List the users."""
    spec = ListSpec(
        identity=User.id,
        sorts=SORTS,
        filters=(
            Filter("active", N_("Active"), User.active == true(), "active"),
            Filter("inactive", N_("Deactivated"), User.active == false(), "active"),
            Filter("invited", N_("Invited, not yet come"), User.invited_at.is_not(None)),
            *(
                Filter(f"role-{role.code}", role.name, User.roles.any(Role.id == role.id), "role")
                for role in _all_roles()
            ),
        ),
        search=lambda text: found_in(text, User.name, User.login),
    )
    page = paginate(select(User), spec, default_filters=("active",))
    return render_template(
        "core/users/users.html",
        page=page,
        company_names=_company_names(page.rows),
        expired=links.invitation_over,
    )


def _company_names(users_shown: list[User]) -> dict[int, list[str]]:
    """Return the names of the companies that users work for, by the id of the user."""
    names: dict[int, list[str]] = {}
    rows = db.session.execute(
        select(user_company.c.user_id, Company.name)
        .join(Company, Company.id == user_company.c.company_id)
        .where(user_company.c.user_id.in_([user.id for user in users_shown]))
        .order_by(Company.name)
    )
    for user_id, name in rows:
        names.setdefault(user_id, []).append(name)
    return names


@blueprint.route("/users/new", methods=["GET", "POST"])
@requires("core.user.edit")
def user_new() -> ResponseReturnValue:
    """Make a user."""
    form = _form(None)
    made: list[User] = []
    if submit(form, lambda: made.append(_save(None, form) if form.password.data else _invite(form))):
        if made[0].invited:
            return redirect(url_for("core.user_edit", user_id=made[0].id))
        flash(gettext("%(name)s may sign in now.", name=form.name.data), "success")
        return redirect(url_for("core.users"))
    return render_template("core/users/user.html", form=form, title=gettext("New user"), row=None)


class InviteForm(FlaskForm):  # type: ignore[misc]
    """Several people who are invited alike."""

    addresses = TextAreaField(
        _l("Email addresses"),
        [*required(), at_most(8000)],
        description=_l("One or several, as they are in your email program or a spreadsheet"),
        render_kw={"rows": 4, "spellcheck": "false", "autocomplete": "off", "autofocus": True},
    )
    roles = SelectMultipleField(_l("Roles"), render_kw={"data-search": ""})
    companies = SelectMultipleField(_l("Companies"), coerce=int, render_kw={"data-search": ""})
    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES)


def _invite_form() -> InviteForm:
    me = signed_in_user()
    present = [me.company_id] if me.company_id else []
    form = InviteForm(roles=["salesperson"], companies=present, language=me.language)
    form.roles.choices = [
        SelectChoice(role.code, gettext(role.name)) for role in _all_roles() if may_hand_on(me, role)
    ]
    offered = select(Company).where(Company.active).order_by(Company.name)
    form.companies.choices = [SelectChoice(row.id, row.name) for row in db.session.scalars(offered)]
    return form


@blueprint.route("/users/invite", methods=["GET", "POST"])
@requires("core.user.edit")
def users_invite() -> ResponseReturnValue:
    """Invite one or many by email; what cannot be stays in the field, with the reason."""
    form = _invite_form()
    found: list[links.Invited] = []

    def invite() -> None:
        addresses, wrong = parse_addresses(form.addresses.data)
        found.extend(links.Invited(error.text, problem=error.message) for error in wrong)
        if addresses or not wrong:
            found.extend(
                links.invite_many(
                    addresses,
                    roles=form.roles.data,
                    company_ids=form.companies.data,
                    language=form.language.data,
                    timezone=signed_in_user().timezone,
                    by=signed_in_user(),
                )
            )

    if submit(form, invite):
        invited = [one for one in found if not one.problem]
        refused = [one for one in found if one.problem]
        _tell_of_invitations(invited)
        if not refused:
            return redirect(url_for("core.users"))
        form.addresses.data = "\n".join(one.login for one in refused)
        form.addresses.errors = [str(one.problem) for one in refused]
    status = 422 if request.method == "POST" else 200
    return render_template("core/users/invite.html", form=form), status


def _tell_of_invitations(invited: list[links.Invited]) -> None:
    waiting = next((one.hindrance for one in invited if one.hindrance), "")
    if waiting:
        words = gettext("The link of each is on the page of the user, “Link to copy”: hand it over yourself.")
        flash(f"{waiting} {words}", "warning")
    elif invited:
        flash(
            ngettext("%(num)d person was invited.", "%(num)d people were invited.", len(invited)), "success"
        )


@blueprint.route("/users/<int:user_id>", methods=["GET", "POST"])
@requires("core.user.edit")
def user_edit(user_id: int) -> ResponseReturnValue:
    """Change a user."""
    row = db.session.get(User, user_id) or abort(404)
    title = row.name
    form = record_form(row, partial(_form, row), behind=lambda: {"password": row.password_hash})
    if submit(form, lambda: _save(row, form)):
        flash(gettext("%(name)s was saved.", name=row.name), "success")
        return redirect(url_for("core.users"))
    manageable = all(may_hand_on(signed_in_user(), role) for role in row.roles)
    return render_template(
        "core/users/user.html",
        form=form,
        title=title,
        row=row,
        manageable=manageable,
        expired=links.invitation_over(row),
    )


@blueprint.post("/users/<int:user_id>/send-link")
@requires("core.user.edit")
def user_send_link(user_id: int) -> ResponseReturnValue:
    """Send a user a link by which to choose a password; the link of a former invitation is void."""
    row = db.session.get(User, user_id) or abort(404)
    _tell_of_the_email(row, links.send_link(row, signed_in_user()))
    return redirect(url_for("core.user_edit", user_id=row.id))


@blueprint.post("/users/<int:user_id>/link")
@requires("core.user.edit")
def user_link(user_id: int) -> ResponseReturnValue:
    """Show a link by which a user chooses a password, to be handed over; it is kept nowhere."""
    row = db.session.get(User, user_id) or abort(404)
    link, expires_at = links.make_link(row, by=signed_in_user())
    until = format_datetime(expires_at, "medium")
    return render_template("core/users/link.html", row=row, link=link, until=until)


@blueprint.post("/users/<int:user_id>/active")
@requires("core.user.edit")
def user_set_active(user_id: int) -> ResponseReturnValue:
    """Deactivate a user, or let them sign in again: what the button said (`active`), whatever the user is by now."""
    row = db.session.get(User, user_id) or abort(404)
    wanted = request.form.get("active")
    set_active(row, active=not row.active if wanted is None else wanted == "1", by=signed_in_user())
    note_change(row, signed_in_user().id)
    if row.active and row.invited:
        flash(gettext("The former link is void: send the invitation again."), "success")
    elif row.active:
        flash(gettext("%(name)s may sign in now.", name=row.name), "success")
    else:
        flash(gettext("%(name)s was deactivated and signed out everywhere.", name=row.name), "success")
    return redirect(url_for("core.user_edit", user_id=row.id))
