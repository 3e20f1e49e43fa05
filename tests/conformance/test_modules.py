"""The conformance suite over core and every installed module."""

from __future__ import annotations

from typing import cast

import pytest
from flask import Flask

from core.contract import Module
from core.documents.behavior import DocumentBehavior
from core.registry import current_registry, resolve
from core.testing.conformance import (
    ModuleConformance,
    administrator,  # noqa: F401 (a fixture of the suite)
    demonstration,  # noqa: F401 (a fixture of the suite)
    leaks,  # noqa: F401 (a fixture of the suite)
    tour,  # noqa: F401 (a fixture of the suite)
)
from core.testing.conformance.house import installed_modules
from modules.mail_config.mail_templates.service import check_template


class TestModules(ModuleConformance):
    # The playground has no mail without a worker; the PDF of a mail is made when it leaves; nobody works through many
    # mails, has added a file to one, imports anything or prepares a mailing; no mailbox is there to be read; a preview
    # needs the document of the template's own kind; a print is open to who has made it alone; a provider of accounts is
    # in no page, a domain is named and no number; nobody makes up a link to unsubscribe; figures need a token.
    # Each has tests of its own, and so have the lists, which are asked for by their names.
    same_everywhere = frozenset({"CSV", "TXT", "XLSX"})
    untried = frozenset(
        {
            "core.figures",
            "core.list_matching",
            "core.partner_import",
            "core.partner_import_progress",
            "core.partner_import_refused",
            "core.product_import",
            "core.product_import_progress",
            "core.product_import_refused",
            "distribution.print",
            "distribution.print_pdf",
            "distribution.print_progress",
            "mail_config.account_client",
            "mail_config.account_connect",
            "mail_config.domain",
            "mail_config.domain_report",
            "mail_config.house_account_connect",
            "mail_config.template_preview",
            "outbox.answer",
            "outbox.answer_file",
            "outbox.answer_html",
            "outbox.attachment",
            "outbox.compose_file_show",
            "outbox.bulk_progress",
            "outbox.hook",
            "outbox.hook_edit",
            "outbox.mailbox",
            "outbox.mailbox_edit",
            "outbox.run_item_preview",
            "outbox.run_text",
            "outbox.unsubscribe_page",
            "playground.message",
            "playground.message_html",
            "playground.message_source",
            "playground.attachment",
        }
    )

    @pytest.fixture(params=installed_modules().values(), ids=lambda module: module.name)
    def module(self, request: pytest.FixtureRequest) -> Module:
        return cast("Module", request.param)


def test_shipped_mail_templates_use_only_fields_that_exist(app: Flask) -> None:
    problems = [
        f"{kind.name}, “{template.name}”, {field}: {sentence}"
        for kind in current_registry().kinds.values()
        for template in cast("DocumentBehavior", resolve(kind.behavior)).templates
        for field, sentences in check_template(kind.name, template.texts, template.attachment_name).items()
        for sentence in sentences
    ]
    assert not problems, "\n".join(problems)
