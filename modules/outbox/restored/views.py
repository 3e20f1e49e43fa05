"""The page on which an administrator decides what leaves after a restore."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.installation import service as installation
from core.installation.models import Sign
from core.kept import kept
from modules.outbox.badges import badge_of
from modules.outbox.blueprint import blueprint
from modules.outbox.restored import service
from modules.outbox.restored.service import KEPT_TO_ITSELF
from modules.outbox.standstill import KEPT_SECONDS

DECIDE = "outbox.restored.decide"


def sign_words(sign: Sign) -> str:
    """Return how a restore was noticed, for a person."""
    match sign:
        case Sign.OLDER:
            words = gettext(
                "The database is older than what this installation remembers: a backup was put in its place."
            )
        case Sign.COPIED:
            words = gettext(
                "The files of the data folder were copied or written back. If you have only moved or touched them, let "
                "everything go."
            )
        case Sign.UNKNOWN:
            words = gettext(
                "The database has been in use, but not with this data folder: it may be a copy. If you have only "
                "lost or changed the folder, let everything go."
            )
        case Sign.TOLD:
            words = gettext("Somebody has said that the data were restored.")
    return str(words)


@blueprint.get("/restored")
@requires(DECIDE)
def restored() -> ResponseReturnValue:
    """Show what waited when the data were restored."""
    hold = installation.hold()
    return render_template(
        "outbox/restored/page.html",
        hold=hold,
        words=sign_words(hold.sign) if hold is not None else "",
        mails=service.listed(hold) if hold is not None else [],
        count=service.count(hold) if hold is not None else 0,
        badge_of=badge_of,
        copy_since=installation.copy_since(),
    )


def banner() -> str:
    """Fill `shell.banner`: nothing leaves, since this is a copy or may be one."""
    kept_to_itself = kept(KEPT_TO_ITSELF, lambda _before: (service.kept_to_itself(), KEPT_SECONDS))
    if kept_to_itself is None:
        return ""
    return render_template("outbox/restored/_banner.html", why=kept_to_itself)


@blueprint.post("/restored/copy")
@requires(DECIDE)
def restored_copy() -> ResponseReturnValue:
    """Go on as a copy: what would leave is captured."""
    if not service.declare_copy():
        flash(gettext("Somebody has decided already: emails leave again."), "info")
    return redirect(url_for("outbox.restored"))


@blueprint.post("/restored")
@requires(DECIDE)
def restored_decide() -> ResponseReturnValue:
    """Let all, some or none of them leave, and everything that is sent from now on."""
    choice = request.form.get("choice", "")
    going = {int(text) for text in request.form.getlist("mail_id") if text.isascii() and text.isdigit()}
    if choice not in {"all", "marked", "none"} or (choice == "marked" and not going):
        flash(gettext("Choose which emails leave."), "warning")
        return redirect(url_for("outbox.restored"))
    done = service.decide(
        None if choice == "all" else going if choice == "marked" else set(), signed_in_user()
    )
    if done is None:
        flash(gettext("Somebody has decided already: emails leave again."), "info")
    else:
        words = [gettext("Emails leave again.")]
        if done.going:
            words.append(ngettext("%(num)d email leaves.", "%(num)d emails leave.", done.going))
        if done.aside:
            words.append(
                ngettext(
                    "%(num)d was set aside as uncertain.", "%(num)d were set aside as uncertain.", done.aside
                )
            )
        flash(" ".join(words), "success")
    return redirect(url_for("outbox.restored"))


@blueprint.post("/restored/hold")
@requires(DECIDE)
def restored_hold() -> ResponseReturnValue:
    """Hold everything: the user says that the data were restored, or that this copy is the real one now."""
    service.hold_back()
    return redirect(url_for("outbox.restored"))
