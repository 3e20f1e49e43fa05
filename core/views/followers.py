"""The followers of a document: the panel on its page, and the same as a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in, signed_in_user
from core.db import db
from core.documents import following
from core.documents.models import Document
from core.documents.service import get_readable, kind_title
from core.errors import UserError
from core.followers import service
from core.followers.models import Follower
from core.partners.models import Partner, PartnerType
from core.partners.reach import EDIT, partner_for
from core.partners.service import ContactExistsError, customer_of, save_contact
from core.partners.titles import CONTACT_TITLES
from core.views.blueprint import blueprint
from core.views.people import as_choice, typed

# PostgreSQL's integer: a larger number in an address would be an error of the database, not a 404.
LARGEST_ID = 2**31 - 1


@dataclass(slots=True)
class Said:
    """The message that the panel of followers shows about the last action.

    Attributes:
        done: A sentence about what was done, or "".
        removed: Who was removed just now, to be taken back, or None.
        errors: Sentences by field; "" for the panel.
        typed: What was typed into the form of a new contact.
        exists: The partner that has the address of the new contact already, or None.
        results: Whom a search without script has found, or None.
    """

    done: str = ""
    removed: Follower | None = None
    errors: dict[str, list[str]] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    exists: Partner | None = None
    results: list[following.Candidate] | None = None


def _readable(document_id: int) -> Document:
    return get_readable(signed_in_user(), document_id) or abort(404)


def _may_search() -> bool:
    user = signed_in_user()
    return user.can("core.follower.edit") and user.can("core.partner.read")


def _show(document: Document, said: Said) -> ResponseReturnValue:
    """Return the panel in place; without script, the page that the person was on."""
    if request.headers.get("HX-Request"):
        html = render_template(
            "core/followers/_panel.html", panel=following.follower_panel(document), said=said
        )
        return html, 422 if said.errors else 200
    if not said.errors:
        if said.done:
            flash(said.done, "success")
        return redirect(url_for("core.document", document_id=document.id))
    return _page(document, said), 422


def _page(document: Document, said: Said) -> str:
    return render_template(
        "core/followers/followers.html",
        panel=following.follower_panel(document),
        said=said,
        title=f"{kind_title(document.kind)} {document.number}".strip(),
        candidate_detail=candidate_detail,
    )


def _change(document_id: int, action: Callable[[Document, Said], None]) -> ResponseReturnValue:
    """Do something to the followers of a document, and say what was done or what is wrong."""
    document = _readable(document_id)
    said = Said()
    try:
        action(document, said)
    except UserError as error:
        db.session.rollback()
        said.errors.setdefault(error.field or "", []).append(str(error.message))
    return _show(document, said)


def _chosen() -> dict[str, int]:
    """Return who was chosen: `p12` for a partner, `u3` for a colleague."""
    text = request.form.get("who", "")
    number = text[1:]
    if text[:1] not in {"p", "u"} or not (number.isascii() and number.isdigit()) or len(number) > 10:
        raise UserError(gettext("Choose somebody from the list."), "who")
    return {"partner_id" if text[0] == "p" else "user_id": min(int(number), LARGEST_ID)}


@blueprint.get("/documents/<int:document_id>/followers")
@signed_in
def followers(document_id: int) -> ResponseReturnValue:
    """Show the followers on a page of their own, with a search that needs no script."""
    document = _readable(document_id)
    said = Said()
    if "q" in request.args and _may_search():
        said.results = following.candidates(document, typed(), signed_in_user())
    return _page(document, said)


@blueprint.get("/documents/<int:document_id>/followers/people")
@requires("core.follower.edit")
def follower_people(document_id: int) -> ResponseReturnValue:
    """Return whom a text finds for a document: those of its customer first, and who cannot be added and why."""
    document, user = _readable(document_id), signed_in_user()
    if not _may_search():
        abort(403)
    return jsonify(
        [
            {
                **as_choice(found.person),
                "detail": candidate_detail(found),
                "disabled": found.follows or not found.may_read,
            }
            for found in following.candidates(document, typed(), user)
        ]
    )


def candidate_detail(found: following.Candidate) -> str:
    """Return who that is, and what is to be known before they are added."""
    notes = [found.person.detail]
    if found.follows:
        notes.append(gettext("follows already"))
    elif not found.may_read:
        notes.append(gettext("may not read this document"))
    elif found.removed:
        notes.append(gettext("was removed before"))
    if found.person.opted_out:
        notes.append(gettext("opted out of emails"))
    return " · ".join(str(note) for note in notes)


@blueprint.post("/documents/<int:document_id>/followers")
@requires("core.follower.edit")
def follower_add(document_id: int) -> ResponseReturnValue:
    """Let a partner or a colleague follow a document."""
    if not signed_in_user().can("core.partner.read"):
        abort(403)  # the panel would show the name and address of whoever is added

    def add(document: Document, said: Said) -> None:
        follower = following.add_follower(document, **_chosen(), by=signed_in_user())
        said.done = gettext("%(name)s follows this document now.", name=follower.name)

    return _change(document_id, add)


@blueprint.post("/documents/<int:document_id>/followers/contact")
@requires("core.follower.edit")
def follower_contact(document_id: int) -> ResponseReturnValue:
    """Make a contact of the document's customer, who follows the document at once."""
    user = signed_in_user()
    if not user.can("core.partner.edit"):
        abort(403)

    def make(document: Document, said: Said) -> None:
        said.typed = {name: request.form.get(name, "").strip() for name in ("name", "email", "type")}
        if document.partner is None:
            raise UserError(gettext("This document has no customer that a contact could belong to."))
        if partner_for(user, document.partner.id, EDIT) is None:
            abort(404)
        if not said.typed["name"]:
            raise UserError(gettext("A name is needed."), "name")
        kinds = {kind.value for kind in CONTACT_TITLES}
        kind = PartnerType(said.typed["type"]) if said.typed["type"] in kinds else PartnerType.CONTACT
        try:
            contact = save_contact(
                customer_of(document.partner), said.typed["name"], said.typed["email"], kind
            )
        except ContactExistsError as error:
            said.exists = error.partner
            raise
        service.follow(document.id, partner_id=contact.id, by=user)
        said.typed = {}
        said.done = gettext(
            "%(name)s is a contact of %(customer)s now, and follows this document.",
            name=contact.name,
            customer=contact.parent.name if contact.parent else "",
        )

    return _change(document_id, make)


@blueprint.post("/documents/<int:document_id>/followers/<int:follower_id>/remove")
@requires("core.follower.edit")
def follower_remove(document_id: int, follower_id: int) -> ResponseReturnValue:
    """Remove a follower of a document."""

    def remove(document: Document, said: Said) -> None:
        follower = service.get_follower(document.id, follower_id)
        service.unfollow(follower)
        said.done = gettext("%(name)s no longer follows this document.", name=follower.name)
        said.removed = follower

    return _change(document_id, remove)


@blueprint.post("/documents/<int:document_id>/followers/<int:follower_id>/restore")
@requires("core.follower.edit")
def follower_restore(document_id: int, follower_id: int) -> ResponseReturnValue:
    """Take a removal back (`undo`), or add somebody again who was removed some time ago."""

    def again(document: Document, said: Said) -> None:
        follower = service.get_follower(document.id, follower_id)
        if request.form.get("undo"):
            following.take_removal_back(document, follower)
        else:
            follower = following.add_follower(
                document, partner_id=follower.partner_id, user_id=follower.user_id, by=signed_in_user()
            )
        said.done = gettext("%(name)s follows this document now.", name=follower.name)

    return _change(document_id, again)


@blueprint.post("/documents/<int:document_id>/followers/<int:follower_id>/how")
@requires("core.follower.edit")
def follower_how(document_id: int, follower_id: int) -> ResponseReturnValue:
    """Let a follower follow by mail, or in the application only."""

    def change(document: Document, said: Said) -> None:
        follower = service.get_follower(document.id, follower_id)
        service.set_by_mail(follower, request.form.get("by_mail") == "1")
        said.done = (
            gettext("%(name)s follows by email now.", name=follower.name)
            if follower.by_mail
            else gettext("%(name)s follows in the application only now.", name=follower.name)
        )

    return _change(document_id, change)
