"""Choosing a password by a link: after it was forgotten, or by invitation."""

from __future__ import annotations

import time

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField

from core.auth import links, sessions
from core.auth.links import LinkVoidError
from core.auth.passwords import MINIMUM_PASSWORD_LENGTH
from core.auth.permissions import public
from core.i18n import lazy_gettext as _l
from core.views.blueprint import blueprint
from core.web.forms import at_most, required, submit

ANSWER_SECONDS = (
    0.7  # longer than writing a mail takes: the time of the answer does not tell who has an account
)


class ForgottenForm(FlaskForm):  # type: ignore[misc]
    """The address of whoever has forgotten the password."""

    login = EmailField(
        _l("Email address"),
        [*required(), at_most(254)],
        render_kw={"autocomplete": "username", "autofocus": True},
    )


class ChooseForm(FlaskForm):  # type: ignore[misc]
    """A new password."""

    password = PasswordField(
        _l("New password"),
        required(),
        description=_l("At least %(count)s characters.", count=MINIMUM_PASSWORD_LENGTH),
        render_kw={"autocomplete": "new-password", "autofocus": True},
    )


@blueprint.route("/password/forgotten", methods=["GET", "POST"])
@public
def forgotten_password() -> ResponseReturnValue:
    """Send a link to whoever has forgotten the password, and tell everybody the same."""
    form = ForgottenForm()
    hindrance = ""

    def ask() -> None:
        nonlocal hindrance
        began = time.monotonic()
        hindrance = links.forgotten(form.login.data, request.remote_addr or "")
        time.sleep(max(0.0, ANSWER_SECONDS - (time.monotonic() - began)))

    asked = submit(form, ask)
    status = 422 if request.method == "POST" and not asked else 200
    return render_template("core/users/forgotten.html", form=form, asked=asked, hindrance=hindrance), status


@blueprint.route("/password/choose/<token>", methods=["GET", "POST"])
@public
def choose_password(token: str) -> ResponseReturnValue:
    """Let whoever has a link choose a password, and sign them in; looking at the page uses nothing up."""
    try:
        user = links.user_of_link(token)
    except LinkVoidError as error:
        return render_template("core/users/link_void.html", why=error.args[0]), 410
    form = ChooseForm()

    def choose() -> None:
        sessions.begin(links.choose_password(token, form.password.data))

    if submit(form, choose):
        flash(gettext("Your password is set, and you are signed in. Other sessions have ended."), "success")
        response = redirect(url_for("core.home"))
        sessions.remember_device(response, user)
        return response
    status = 422 if request.method == "POST" else 200
    return render_template("core/users/choose.html", form=form, account=user), status
