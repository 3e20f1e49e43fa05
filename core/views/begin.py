"""The first day: the first administrator, the first company, and the steps that are left."""

from __future__ import annotations

from typing import Any

from babel import Locale, UnknownLocaleError
from flask import abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField, SelectField, StringField

from core.auth import sessions
from core.auth.passwords import MINIMUM_PASSWORD_LENGTH
from core.auth.permissions import public, requires, signed_in_user
from core.begin import administrator, steps
from core.begin.company import Brought, brought_by, companies_to_join, found_company, join_company
from core.begin.steps import LED, MAY_BEGIN
from core.companies.service import NoCompanyError, companies_for
from core.i18n import is_country
from core.i18n import lazy_gettext as _l
from core.views.blueprint import blueprint
from core.views.choices import LANGUAGE_CHOICES, country_choices, currency_choices, timezone_choices
from core.views.companies import CompanyForm, company_values
from core.web.errors import tell
from core.web.forms import at_most, required, submit


class AdministratorForm(FlaskForm):  # type: ignore[misc]
    """The first administrator."""

    token = HiddenField()
    name = StringField(
        _l("Your name"), [*required(), at_most(120)], render_kw={"autocomplete": "name", "autofocus": True}
    )
    login = EmailField(
        _l("Email address"),
        [*required(), at_most(254)],
        description=_l("You sign in with it, and get alerts there."),
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        _l("Password"),
        required(),
        description=_l("At least %(count)s characters.", count=MINIMUM_PASSWORD_LENGTH),
        render_kw={"autocomplete": "new-password"},
    )
    language = SelectField(_l("Language"), choices=LANGUAGE_CHOICES)


class FirstCompanyForm(CompanyForm):
    """The first company: what a first quotation prints; the rest has time, and stands on the company's page."""

    website = active = legal_line = late_payment_line = bank_line = accent = remove_logo = None


def nobody_page(*, tried: bool = False) -> str:
    """Return what whoever comes before the first administrator sees; `tried`: with a wrong code."""
    return render_template("core/begin/closed.html", tried=tried, command="envoi begin")


@blueprint.route("/begin", methods=["GET", "POST"])
@public
def begin() -> ResponseReturnValue:
    """Make the first administrator; whoever asks has the code that the server's terminal shows."""
    if not administrator.nobody_yet():
        return redirect(url_for("core.first_steps" if current_user.is_authenticated else "core.sign_in"))
    language = str(get_locale() or "en").partition("_")[0]
    form = AdministratorForm(token=request.args.get("token", ""), language=language)
    if not administrator.is_token(form.token.data or ""):
        tried = bool(form.token.data)
        return nobody_page(tried=tried), 403 if tried else 200

    def make() -> None:
        sessions.begin(
            administrator.make_administrator(
                form.token.data,
                login=form.login.data,
                name=form.name.data,
                password=form.password.data,
                language=form.language.data,
            )
        )

    if submit(form, make):
        response = redirect(url_for("core.first_steps"))
        sessions.remember_device(response, signed_in_user())
        return response
    if not administrator.nobody_yet():  # somebody else was faster
        flash(gettext("Somebody else was faster: there is an administrator now. Sign in instead."), "warning")
        return redirect(url_for("core.sign_in"))
    return render_template(
        "core/begin/administrator.html", form=form
    ), 422 if request.method == "POST" else 200


@blueprint.get("/first-steps")
@requires(MAY_BEGIN)
def first_steps() -> ResponseReturnValue:
    """Show the steps of the first day: what is done, what is next, what was put off."""
    user = signed_in_user()
    shown = steps.steps_for(user)
    led = steps.led_to()
    left = [step.name for step in shown if not step.done]
    upcoming = [name for name in left if name in led] or left
    if any(name in led for name in left):
        session[LED] = True
    else:
        session.pop(LED, None)
    return render_template(
        "core/begin/steps.html",
        steps=shown,
        done=len(shown) - len(left),
        upcoming=upcoming[0] if upcoming else "",
        led=led,
    )


@blueprint.post("/first-steps/later")
@requires(MAY_BEGIN)
def first_steps_later() -> ResponseReturnValue:
    """Put a step off, or all that are left; the page goes on showing them."""
    name = request.form.get("step", "")
    steps.put_off(name)
    if name:
        return redirect(url_for("core.first_steps"))
    session.pop(LED, None)
    flash(gettext("What is left stands in Configuration › First steps."), "success")
    return redirect(url_for("core.home"))


def banner() -> str:
    """Fill `shell.banner`: lead whoever is in the midst of the first steps back to them."""
    if not session.get(LED) or request.endpoint == "core.first_steps":
        return ""
    return render_template("core/begin/_banner.html")


def _country_of_browser() -> str:
    """Return the country that the browser speaks of, else that where most speak its language."""
    for value, _quality in request.accept_languages:
        try:
            territory = Locale.parse(value, sep="-").territory
        except (UnknownLocaleError, ValueError):
            continue
        if territory and is_country(territory):
            return str(territory)
    return "FR" if signed_in_user().language == "fr" else "GB"


def _company_form(brought: Brought, country: str) -> FirstCompanyForm:
    form = FirstCompanyForm(
        country=country, currency=brought.currency, language=brought.language, timezone=brought.timezone
    )
    form.country.choices = country_choices(country)
    form.country.render_kw = {
        "data-search": "",
        "hx-get": url_for("core.first_company_brought"),
        "hx-trigger": "change",
        "hx-target": "#brought",
    }
    form.currency.choices = currency_choices(brought.currency)
    form.timezone.choices = timezone_choices(brought.timezone)
    return form


@blueprint.route("/first-steps/company", methods=["GET", "POST"])
@requires(MAY_BEGIN)
def first_company() -> ResponseReturnValue:
    """Make the company that the user works for, with what its country brings."""
    user = signed_in_user()
    if companies_for(user):
        return redirect(url_for("core.first_steps"))
    country = request.form.get("country") or _country_of_browser()
    brought = brought_by(country if is_country(country) else "FR", user.language)
    form = _company_form(brought, country)
    if submit(form, lambda: found_company(company_values(form), user)):
        flash(gettext("%(name)s was saved.", name=form.name.data), "success")
        return redirect(url_for("core.first_steps"))
    return render_template(
        "core/begin/company.html", form=form, brought=brought, others=companies_to_join()
    ), 422 if request.method == "POST" else 200


@blueprint.get("/first-steps/company/brought")
@requires(MAY_BEGIN)
def first_company_brought() -> ResponseReturnValue:
    """Fill in what another country brings."""
    country = request.args.get("country") or _country_of_browser()
    if not is_country(country):
        abort(404)
    brought = brought_by(country, signed_in_user().language)
    return render_template("core/begin/_brought.html", form=_company_form(brought, country), brought=brought)


@blueprint.post("/first-steps/join")
@requires(MAY_BEGIN)
def first_company_join() -> ResponseReturnValue:
    """Work for a company that is there."""
    company = join_company(request.form.get("company_id", 0, type=int), signed_in_user())
    flash(gettext("You work for %(name)s now.", name=company.name), "success")
    return redirect(url_for("core.first_steps"))


@blueprint.app_errorhandler(NoCompanyError)
def lead_to_a_company(error: NoCompanyError) -> Any:
    """Lead whoever may make a company there; tell the others whom to ask."""
    may = current_user.is_authenticated and signed_in_user().can(MAY_BEGIN)
    if not may or request.headers.get("HX-Request"):
        return tell(error)
    flash(gettext("This needs a company: set one up, or choose one."), "warning")
    return redirect(url_for("core.first_company"))
