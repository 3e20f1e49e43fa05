"""The templates that modules bring, and what a first try needs."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select

from core.db import transaction
from modules.mail_config.mail_templates.service import keep_revision, shipped_key
from modules.mail_config.mail_templates.variables import save_variable
from modules.mail_config.models import InstalledTemplate, MailTemplate, MailTemplateText
from modules.mail_config.servers import playground
from modules.mail_config.template_language.fields import plain_catalogue, shipped_templates, template_kinds


def install(app: Flask) -> None:  # noqa: ARG001 (signature of the signal)
    """Insert each template that a module brings, once; a changed or deleted one stays as it is.

    What a newer version of the module ships comes only when somebody restores the original.
    """
    with transaction() as session:
        met = set(session.scalars(select(InstalledTemplate.key)))
        for kind in template_kinds():
            for position, shipped in enumerate(shipped_templates(kind), start=1):
                key = shipped_key(kind, shipped)
                if key in met:
                    continue
                session.add(InstalledTemplate(key=key))
                template = MailTemplate(
                    kind=kind,
                    name=shipped.name,
                    attachment_name=shipped.attachment_name,
                    position=position * 10,
                    shipped_key=key,
                )
                template.texts = [
                    MailTemplateText(language=language, subject=subject, body=body)
                    for language, (subject, body) in shipped.texts.items()
                ]
                session.add(template)
                keep_revision(template, None)


def demo(app: Flask) -> None:  # noqa: ARG001 (signature of the signal)
    """Set up the playground's mailbox as the mail server of the demonstration, and a variable to look at."""
    for kind in template_kinds():
        # A deposit is asked for with what is offered.
        if {"document.total", "document.validity"} <= {spec.name for spec in plain_catalogue(kind)}:
            save_variable(
                None, kind=kind, code="deposit", label="Deposit of 30 %", formula="document.total * 0.3"
            )
            break
    if playground.is_there():
        playground.use()
