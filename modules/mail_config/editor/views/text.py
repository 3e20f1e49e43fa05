"""Views for the text of a template while it is edited: preview, source, fields of other systems, files."""

from __future__ import annotations

from html import unescape

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from core.auth.permissions import signed_in, signed_in_user
from core.config import SUPPORTED_LANGUAGES
from core.errors import UserError
from core.mail.html import clean_html
from modules.mail_config.blueprint import blueprint
from modules.mail_config.editor.form import TypedTemplate, TypedText, one_line_each
from modules.mail_config.editor.preview import chosen_subject, posted_template, preview_of
from modules.mail_config.editor.views.fields import document_detail, document_label
from modules.mail_config.editor.views.page import editor_of
from modules.mail_config.editor.views.writers import for_writers
from modules.mail_config.from_mail import legacy_fields
from modules.mail_config.mail_templates import service
from modules.mail_config.mail_templates.selection import language_name
from modules.mail_config.mail_templates.uploads import store_upload
from modules.mail_config.mail_templates.views.listing import kind_or_404
from modules.mail_config.mail_templates.word_diff import readable
from modules.mail_config.template_language import own_variables


@blueprint.post("/templates/preview/<kind>")
@signed_in
@for_writers
def template_preview(kind: str) -> ResponseReturnValue:
    """Show what comes of a template as it stands on the page; nothing is saved."""
    typed = posted_template(kind_or_404(kind))
    document = chosen_subject(kind, signed_in_user())
    wanted = request.form.get("preview_language", "")
    preview = preview_of(typed, document, wanted)
    shown_language = preview.language or wanted or SUPPORTED_LANGUAGES[0]
    page = ""
    if preview.rendered is not None:
        page = render_template(
            "mail_config/mail/preview.html",
            body=clean_html(preview.rendered.body_html),
            language=preview.language,
        )
    return render_template(
        "mail_config/editor/_preview.html",
        typed=typed,
        preview=preview,
        page=page,
        samples=service.samples(kind, document, shown_language),
        label=document_label(document) if document is not None else "",
        detail=document_detail(document) if document is not None else "",
        language_name=language_name,
    )


@blueprint.post("/templates/text/<kind>/<language>")
@signed_in
@for_writers
def template_text(kind: str, language: str) -> ResponseReturnValue:
    """Show the text in one language again: as source, or in the editor with its formulas as chips."""
    typed, text = _typed_text(kind, language)
    text.as_source = request.form.get("show") != "rich"
    if text.as_source:
        text.body = one_line_each(text.body)
    return _panel(typed, text)


@blueprint.post("/templates/legacy/<kind>/<language>")
@signed_in
@for_writers
def template_legacy(kind: str, language: str) -> ResponseReturnValue:
    """Look for fields of another system; show what would become of them, or convert them."""
    typed, text = _typed_text(kind, language)
    do, own = request.form.get("do", "show"), own_variables.stored(kind)
    found = {
        entry.found: entry
        for source in (text.subject, text.body)
        for entry in legacy_fields.find(kind, source, own)
    }
    shown = {name: unescape(name) for name in found}
    if do == "look":  # after pasting: a line that tells of them, nothing where there are none
        return render_template(
            "mail_config/editor/_legacy_note.html", found=found, shown=shown, kind=kind, text=text
        )
    choices = {name: entry.field or "" for name, entry in found.items()}
    choices |= dict(
        zip(request.form.getlist("legacy_found"), request.form.getlist("legacy_field"), strict=False)
    )
    subject, body = (
        legacy_fields.convert(kind, source, choices, own) for source in (text.subject, text.body)
    )
    if do == "convert":
        text.subject, text.body = subject, body
        return _panel(typed, text, converted=True)
    if do == "result":
        return render_template("mail_config/editor/_legacy_result.html", subject=subject, body=readable(body))
    return render_template(
        "mail_config/editor/_legacy.html",
        kind=kind,
        text=text,
        found=found,
        shown=shown,
        choices=choices,
        fields=service.catalogue(kind),
        samples=service.samples(kind, None, language),
        subject=subject,
        body=readable(body),
    )


@blueprint.post("/templates/file")
@signed_in
@for_writers
def template_file() -> ResponseReturnValue:
    """Store files that were chosen on the page; they belong to the template once it is saved."""
    files, errors = [], []
    for upload in request.files.getlist("files"):
        try:
            files.append(store_upload(upload))
        except UserError as error:
            errors.append(str(error.message))
    return render_template("mail_config/editor/_files.html", files=files, errors=errors)


def _typed_text(kind: str, language: str) -> tuple[TypedTemplate, TypedText]:
    if language not in SUPPORTED_LANGUAGES:
        abort(404)
    typed = posted_template(kind_or_404(kind))
    return typed, typed.text(language)


def _panel(typed: TypedTemplate, text: TypedText, *, converted: bool = False) -> str:
    samples = service.samples(typed.kind, None, text.language)
    editor = editor_of(typed.kind, text.body, samples)
    wanted_rich = not text.as_source
    text.as_source = text.as_source or bool(editor[1])
    return render_template(
        "mail_config/editor/_text.html",
        kind=typed.kind,
        typed=typed,
        text=text,
        editor=editor,
        active=True,
        refused=wanted_rich and bool(editor[1]),
        converted=converted,
    )
