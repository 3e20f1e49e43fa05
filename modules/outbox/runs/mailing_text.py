"""The text of a mailing: a template that its writer keeps, written from the page of the mailing.

What is written and not saved yet is kept with the mailing, as the page has posted it, so that nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from flask_babel import get_locale, gettext
from werkzeug.datastructures import MultiDict

from core import clock
from core.auth.models import User
from core.config import SUPPORTED_LANGUAGES
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import DraftAttachment
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CUSTOMER
from modules.outbox.models import Run, RunState
from modules.outbox.runs import service

MAX_KEPT = 3_000_000  # characters of what is written, as JSON
_NOT_KEPT = ("csrf_token", "seen_change", "template_id")
_BEGINNING = {
    "en": ("News from {{ company.name }}", "<p>Dear customer,</p><p></p><p>{{ sender.name }}</p>"),
    "fr": ("Des nouvelles de {{ company.name }}", "<p>Bonjour,</p><p></p><p>{{ sender.name }}</p>"),
}
"""What the text of a mailing begins with where there is no template; a template has a text."""


def own_text(run: Run, user: User) -> MailTemplate | None:
    """Return the template of a mailing where it is the user's to change, or None."""
    template = db.session.get(MailTemplate, run.template_id) if run.template_id is not None else None
    return template if template is not None and template.owner_id == user.id else None


def begin_text(run: Run, user: User) -> MailTemplate:
    """Let a mailing have a text of its own, which begins as the template that was chosen; twice, it is the same.

    Raises:
        UserError: It has begun.
    """
    own = own_text(run, user)
    if own is not None:
        return own
    with transaction():
        chosen = db.session.get(MailTemplate, run.template_id) if run.template_id is not None else None
        made = save_template(
            None,
            kind=CUSTOMER,
            values={"name": _name(run, user), "owner_id": user.id, "company_id": None},
            texts=_texts(chosen),
            files=[
                DraftAttachment(file.name, file.media_type, file.sha256, file.size)
                for file in (chosen.files if chosen is not None else ())
            ],
            by=user,
        )
        service.choose_template(run, made.id)
    return made


def _name(run: Run, user: User) -> str:
    title = run.title or str(gettext("Mailing"))
    return f"{title[:100]} – {user.today.isoformat()}"


def _texts(template: MailTemplate | None) -> Mapping[str, tuple[str, str]]:
    if template is not None:
        return {text.language: (text.subject, text.body) for text in template.texts}
    language = str(get_locale() or "en")[:2]
    language = language if language in SUPPORTED_LANGUAGES else "en"
    return {language: _BEGINNING[language]}


def save_text(
    run: Run,
    template: MailTemplate,
    texts: Mapping[str, tuple[str, str]],
    files: Sequence[DraftAttachment],
    *,
    seen_revision: int,
    by: User,
) -> None:
    """Save what the text of a mailing says; who gets it is looked through again.

    Raises:
        UserError: Something in it cannot be used, or the mailing has begun.
        ConcurrentChangeError: It was saved in another window meanwhile.
    """
    with transaction():
        _changeable(run)
        save_template(
            template,
            kind=CUSTOMER,
            values={},
            texts=texts,
            files=files,
            seen_revision=seen_revision,
            by=by,
        )
        run.text_draft = ""
    service.look_anew(run)


def keep_text(run: Run, template: MailTemplate, posted: MultiDict[str, str]) -> None:
    """Keep what stands in the editor, saved or not, and whatever is wrong with it.

    Raises:
        UserError: It is too long to be kept, was saved meanwhile, or the mailing has begun.
    """
    seen = posted.get("seen_revision", template.revision, type=int)
    fields = {name: posted.getlist(name) for name in posted if name not in _NOT_KEPT}
    contents = json.dumps({"at": clock.now().isoformat(), "fields": fields}, ensure_ascii=False)
    if len(contents) > MAX_KEPT:
        raise UserError(_l("The text is too long to be kept."))
    with transaction() as session:
        locked = _changeable(run)
        session.refresh(template, ["revision"])
        if seen != template.revision:
            # Or what comes late would stand there as something that is not saved.
            raise UserError(_l("The text was saved meanwhile. Reload the page to go on with it."))
        locked.text_draft = contents


def kept_text(run: Run) -> MultiDict[str, str] | None:
    """Return what was written and not saved, as it was posted, or None for nothing."""
    if not run.text_draft:
        return None
    fields: dict[str, list[str]] = json.loads(run.text_draft)["fields"]
    return MultiDict([(name, value) for name, values in fields.items() for value in values])


def discard_text(run: Run) -> None:
    """Forget what was written and not saved."""
    with transaction():
        _changeable(run).text_draft = ""


def _changeable(run: Run) -> Run:
    """Return a mailing as it is now, locked, whose text may still change.

    Raises:
        UserError: It has begun.
    """
    locked = db.session.get_one(Run, run.id, with_for_update=True, populate_existing=True)
    if locked.state is not RunState.DRAFT:
        raise UserError(_l("This mailing has been started: its text does not change any more."))
    return locked
