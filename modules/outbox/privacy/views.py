"""Views of the personal data about an address: show, export, erase.

The address is posted, never part of an address of a page, so that it does not lie in the logs of web servers.
"""

from __future__ import annotations

import tempfile

from flask import Response, flash, render_template, request, send_file
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.outbox.blueprint import blueprint
from modules.outbox.privacy import person as service
from modules.outbox.privacy import person_export
from modules.outbox.privacy.retention import keep_days_setting


def _page(
    *,
    typed: str = "",
    error: str = "",
    known: service.Known | None = None,
    done: service.Erasure | None = None,
) -> str:
    return render_template(
        "outbox/privacy/person.html",
        typed=typed,
        error=error,
        known=known,
        done=done,
        keep_days=keep_days_setting(),
        most_messages=person_export.MESSAGES_IN_A_REQUEST,
    )


def _posted() -> str:
    """Return the address that was posted.

    Raises:
        UserError: It is none.
    """
    return service.read_address(request.form.get("address", "")[:1000])


@blueprint.get("/personal")
@requires("outbox.personal.manage")
def personal() -> ResponseReturnValue:
    """Ask for an address."""
    return _page()


@blueprint.post("/personal")
@requires("outbox.personal.manage")
def personal_show() -> ResponseReturnValue:
    """Show what is known about an address."""
    typed = request.form.get("address", "")
    try:
        address = _posted()
    except UserError as error:
        return _page(typed=typed[:1000], error=str(error)), 422
    return _page(typed=address, known=service.known(address))


@blueprint.post("/personal/export")
@requires("outbox.personal.manage")
def personal_export_file() -> ResponseReturnValue:
    """Download everything about an address as a ZIP."""
    typed = request.form.get("address", "")
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    try:
        address = _posted()
        person_export.write_export(address, file, messages=person_export.MESSAGES_IN_A_REQUEST)
    except UserError as error:
        file.close()
        return _page(typed=typed[:1000], error=str(error)), 422
    file.seek(0)
    name = f"personal-data-{signed_in_user().today.isoformat()}.zip"
    response: Response = send_file(file, "application/zip", as_attachment=True, download_name=name)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/personal/erase")
@requires("outbox.personal.manage")
def personal_erase() -> ResponseReturnValue:
    """Erase an address, and say what was done and what had to be left."""
    typed = request.form.get("address", "")
    try:
        address = _posted()
    except UserError as error:
        return _page(typed=typed[:1000], error=str(error)), 422
    done = service.erase(address, signed_in_user(), also_contacts="contacts" in request.form)
    if not done.left:
        flash(gettext("The address was erased."), "success")
    return _page(typed=address, known=service.known(address), done=done)
