"""Sign-in, the start page, preferences."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, refresh
from flask_login import current_user, login_user
from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, SelectField

from core import clock
from core.auth import service, sessions
from core.auth.models import User
from core.auth.permissions import public, signed_in, signed_in_user
from core.begin.administrator import nobody_yet
from core.begin.steps import are_open
from core.companies.models import Company
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.i18n import lazy_gettext as _l
from core.views.begin import nobody_page
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, region_choices, timezone_choices
from core.web.forms import required, submit
from core.web.menu import menu_for
from core.web.record_form import RecordForm, record_form
from core.web.redirects import back_where_pressed, local_path


class SignInForm(FlaskForm):  # type: ignore[misc]
    """Email address and password."""

    login = EmailField(
        _l("Email address"), required(), render_kw={"autocomplete": "username", "autofocus": True}
    )
    password = PasswordField(_l("Password"), required(), render_kw={"autocomplete": "current-password"})


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """The present password and a new one."""

    current = PasswordField(
        _l("Current password"), required(), render_kw={"autocomplete": "current-password"}
    )
    password = PasswordField(_l("New password"), required(), render_kw={"autocomplete": "new-password"})


@blueprint.route("/sign-in", methods=["GET", "POST"])
@public
def sign_in() -> ResponseReturnValue:
    """Let somebody in."""
    if current_user.is_authenticated:
        return redirect(url_for("core.home"))
    if request.method == "GET" and nobody_yet():
        return nobody_page()
    form = SignInForm()

    def enter() -> None:
        login = form.login.data
        device = sessions.known_device(login)
        sessions.begin(service.sign_in(login, form.password.data, request.remote_addr or "", device))

    if submit(form, enter):
        response = redirect(local_path(request.args.get("next", "")) or url_for("core.home"))
        sessions.remember_device(response, signed_in_user())
        return response
    return render_template("core/users/sign_in.html", form=form), 422 if request.method == "POST" else 200


@blueprint.post("/sign-out")
@signed_in
def sign_out() -> ResponseReturnValue:
    """End the session, here and in the browser: the page that follows clears what it keeps of customers."""
    sessions.end(signed_in_user())
    return redirect(url_for("core.sign_in", signed_out=1))


@blueprint.get("/")
@signed_in
def home() -> ResponseReturnValue:
    """Lead to what is left of the first day, or to the first page that the user's roles know."""
    if are_open(signed_in_user()):
        return redirect(url_for("core.first_steps"))
    for section in menu_for(signed_in_user()):
        for link in section.links:
            return redirect(link.url)
    return render_template(
        "core/error.html",
        title=gettext("Welcome"),
        text=gettext("You have no role yet. Ask an administrator."),
    )


@blueprint.post("/preferences")
@signed_in
def preferences() -> ResponseReturnValue:
    """Keep the language or the current company, or turn developer mode on and off."""
    user = signed_in_user()
    language = request.form.get("language")
    if language is not None and language not in SUPPORTED_LANGUAGES:
        abort(400)
    company = request.form.get("company_id", type=int)
    service.set_preferences(user, language=language, company_id=company)
    if "developer" in request.form:
        if not user.can("core.developer"):
            abort(403)
        session["developer"] = request.form["developer"] == "1"
    return back_where_pressed(url_for("core.home"))


class RegionForm(RecordForm):
    """In which language the pages speak, and how they write dates, times and numbers."""

    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES)
    country = SelectField(_l("Dates and numbers"), render_kw={"data-search": ""})
    timezone = SelectField(_l("Time zone"), render_kw={"data-search": ""})


def _region_form(user: User, **how: None) -> RegionForm:
    form = RegionForm(obj=user, **how)
    form.country.choices = region_choices(user.country)
    form.timezone.choices = timezone_choices(user.timezone)
    return form


def _currency(user: User) -> str:
    company = db.session.get(Company, user.company_id) if user.company_id else None
    return company.currency if company is not None else "EUR"


@blueprint.route("/region", methods=["GET", "POST"])
@signed_in
def region() -> ResponseReturnValue:
    """Choose language, country and time zone of one's own pages."""
    user = signed_in_user()
    form = record_form(user, partial(_region_form, user))

    def save() -> None:
        service.set_preferences(
            user, language=form.language.data, country=form.country.data, timezone=form.timezone.data
        )

    if submit(form, save):
        refresh()  # the note is in the language that was chosen just now
        flash(gettext("Saved: this is how your pages look from now on."), "success")
        return redirect(url_for("core.region"))
    crumbs = [(user.name, url_for("core.home"))]
    return render_template(
        "core/users/region.html",
        form=form,
        title=gettext("Language and region"),
        crumbs=crumbs,
        example=clock.now(),
        amount=Decimal("1234.50"),
        currency=_currency(user),
    )


@blueprint.route("/password", methods=["GET", "POST"])
@signed_in
def password() -> ResponseReturnValue:
    """Change the user's own password."""
    form = PasswordForm()
    user = signed_in_user()

    def change() -> None:
        service.change_password(user, form.current.data, form.password.data, request.remote_addr or "")
        login_user(user)

    if submit(form, change):
        flash(gettext("Your password was changed. Other sessions have ended."), "success")
        return redirect(url_for("core.home"))
    crumbs = [(user.name, url_for("core.home"))]
    return render_template("core/form.html", form=form, title=gettext("Change password"), crumbs=crumbs)
