"""Stored templates that cannot be used any more: each is told by its name, its kind and the field that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask_babel import gettext
from sqlalchemy import select

from core.db import db
from core.i18n import lazy_gettext as _l
from modules.mail_config.mail_templates.validation import check_template
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.fields import catalogue, template_kinds
from modules.mail_config.template_language.linter import used_fields
from modules.mail_config.template_language.sandbox import BadTemplateError


@contextmanager
def told_by_name(template: MailTemplate) -> Iterator[None]:
    """Let an error of a template say which it is, and which of its fields are gone.

    Raises:
        BadTemplateError: What is raised inside, with more words.
    """
    try:
        yield
    except BadTemplateError as error:
        gone = gone_fields(template)
        if not gone:
            raise
        raise BadTemplateError(_l("The template cannot be used: %(why)s", why=gone), error.field) from error


def gone_fields(template: MailTemplate) -> str:
    """Return a sentence with the fields that a template uses and its kind no longer has; "" for none."""
    known = {spec.name for spec in catalogue(template.kind, template.company_id)}
    sources = [template.attachment_name or ""]
    sources += [source for text in template.texts for source in (text.subject, text.body)]
    gone = sorted({name for source in sources for name in used_fields(source)} - known)
    if not gone:
        return ""
    return str(
        gettext(
            "“%(name)s” (%(kind)s): there is no field %(fields)s.",
            name=gettext(template.name) if template.name else "",
            kind=template.kind,
            fields=", ".join(gone),
        )
    )


def unusable(_sender: Any) -> list[str]:
    """Return a sentence for each active template that cannot be used as it is stored; for `envoi check`."""
    rows = db.session.scalars(
        select(MailTemplate)
        .where(MailTemplate.active, MailTemplate.kind.in_(template_kinds()))
        .order_by(MailTemplate.kind, MailTemplate.position, MailTemplate.id)
    )
    found: list[str] = []
    for row in rows:
        gone = gone_fields(row)
        if gone:
            found.append(gone)
            continue
        texts = {text.language: (text.subject, text.body) for text in row.texts}
        problems = check_template(row.kind, texts, row.attachment_name or "", company_id=row.company_id)
        found += [
            f"“{gettext(row.name)}” ({row.kind}), {field}: {sentence}"
            for field, sentences in problems.items()
            for sentence in sentences[:1]
        ]
    return found
