"""The pages of the mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import null, true

from core.auth.permissions import requires, signed_in_user
from core.i18n import N_, gettext, ngettext
from core.i18n import lazy_gettext as _l
from core.mail.draft import safe_file_name
from core.mail.reader import ReadMessage, readable_source
from core.web.listing import MAX_SEARCH_LENGTH, PAGE_SIZE, ListPage, ListSpec, SortKey
from core.web.security import foreign_html
from modules.playground.mailbox import current_store, readable_keys, smtp_port
from modules.playground.store import StoredMessage

blueprint = Blueprint("playground", __name__, url_prefix="/playground", template_folder="templates")

# The mailbox is no table, but its page looks and works like that of every other list.
MESSAGES = ListSpec(
    identity=None,
    sorts=(SortKey("time", N_("Time"), null(), lambda row: row.key, descending=True),),
    search=lambda _text: true(),
)


@dataclass(frozen=True, slots=True)
class ScriptedAddress:
    """A word that makes the mailbox refuse, as the page explains it.

    Attributes:
        word: What stands before the `+`.
        meaning: What happens.
    """

    word: str
    meaning: object


SCRIPTED_ADDRESSES = (
    ScriptedAddress("refused", _l("Refused for good: there is no such mailbox.")),
    ScriptedAddress("full", _l("Refused for good: the mailbox is full.")),
    ScriptedAddress("later", _l("Refused for now; Envoi tries again by itself.")),
    ScriptedAddress("spam", _l("The whole message is refused as spam.")),
    ScriptedAddress("big", _l("The whole message is refused as too large.")),
    ScriptedAddress("garbage", _l("The server answers with nonsense.")),
    ScriptedAddress("slow", _l("Accepted, but only after a while.")),
    ScriptedAddress("drop", _l("The connection breaks before the answer: nobody knows what happened.")),
)


@blueprint.get("/mails")
@requires("playground.mail.read")
def messages() -> str:
    """List what the mailbox has taken, newest first."""
    search = request.args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
    found = current_store().page(
        search=search,
        before=request.args.get("before", ""),
        after=request.args.get("after", ""),
        size=PAGE_SIZE,
        readable=partial(readable_keys, user=signed_in_user()),
    )
    page = ListPage(found.rows, MESSAGES, MESSAGES.sorts[0], True, search, ())
    if found.rows:
        page.next_token = found.rows[-1].key if found.more_older else None
        page.previous_token = found.rows[0].key if found.more_newer else None
    return render_template(
        "playground/messages.html", page=page, port=smtp_port(), scripted=SCRIPTED_ADDRESSES
    )


def _read(key: str) -> tuple[StoredMessage, ReadMessage, bytes]:
    return current_store().read(_readable(key)) or abort(404)


def _readable(key: str) -> str:
    """Return the key of a message that the user may read."""
    stored, _data = current_store().get(key) or abort(404)
    return key if readable_keys([stored], signed_in_user()) else abort(404)


@blueprint.get("/mails/<key>")
@requires("playground.mail.read")
def message(key: str) -> str:
    """Show a message."""
    stored, read, data = _read(key)
    source, complete = readable_source(data)
    return render_template(
        "playground/message.html",
        stored=stored,
        message=read,
        source=source,
        complete=complete,
        attachment_urls=[
            url_for("playground.attachment", key=key, number=number)
            for number in range(len(read.attachments))
        ],
    )


@blueprint.get("/mails/<key>/html")
@requires("playground.mail.read")
def message_html(key: str) -> Response:
    """Return the HTML of a message, for the sandboxed frame."""
    _stored, read, _data = _read(key)
    return foreign_html(read.html)


@blueprint.get("/mails/<key>/source")
@requires("playground.mail.read")
def message_source(key: str) -> Response:
    """Download a message exactly as it came."""
    stored, data = current_store().get(_readable(key)) or abort(404)
    return _download(data, "message/rfc822", safe_file_name(f"{stored.subject[:80]}.eml", "message.eml"))


@blueprint.get("/mails/<key>/attachments/<int:number>")
@requires("playground.mail.read")
def attachment(key: str, number: int) -> Response:
    """Download an attachment of a message."""
    _stored, read, _data = _read(key)
    if number >= len(read.attachments):
        abort(404)
    found = read.attachments[number]
    return _download(found.data, found.media_type, found.name)


def _download(data: bytes, media_type: str, name: str) -> Response:
    """Return bytes that came from elsewhere; the browser saves them and never shows them as a page of ours."""
    response = Response(data, mimetype=media_type)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@blueprint.post("/delete-all")
@requires("playground.mail.delete")
def delete_all() -> ResponseReturnValue:
    """Empty the mailbox."""
    count = current_store().delete_all()
    flash(
        ngettext("%(num)d email was deleted.", "%(num)d emails were deleted.", count)
        if count
        else gettext("The mailbox was empty already."),
        "success",
    )
    return redirect(url_for("playground.messages"))
