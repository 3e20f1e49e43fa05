"""What a template that was saved may still want: a language that is missing, codes of older systems that are left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from flask_babel import gettext

from core.config import SUPPORTED_LANGUAGES
from core.i18n import quoted
from modules.mail_config.from_mail import legacy_fields
from modules.mail_config.mail_templates.selection import language_name
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language import own_variables

_TAG = re.compile(r"<[^<>]*>")
_MOST_NAMED = 5


def notes_about(template: MailTemplate) -> Iterator[str]:
    """Return a sentence for each thing that whoever has saved a template should know; it can be used all the same."""
    spoken = {text.language for text in template.texts}
    wanted = {template.partner.language} if template.partner is not None else set(SUPPORTED_LANGUAGES)
    missing = sorted(wanted - spoken)
    if missing:
        yield gettext(
            "It has no text in %(languages)s: whoever reads that gets the email in another language.",
            languages=", ".join(language_name(language) for language in missing),
        )
    own = own_variables.stored(template.kind)
    texts = [part for text in template.texts for part in (text.subject, _TAG.sub(" ", text.body))]
    left = dict.fromkeys(
        found.found
        for text in [*texts, template.attachment_name or ""]
        for found in legacy_fields.find(template.kind, text, own)
    )
    if left:
        yield gettext(
            "%(codes)s: these fields of an older system were not converted, and reach customers as they stand.",
            codes=quoted(*(unescape(code) for code in list(left)[:_MOST_NAMED])),
        )
