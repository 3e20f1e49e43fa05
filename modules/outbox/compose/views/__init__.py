"""The pages of the composer."""

from modules.outbox.compose.views import files, page, recipients, save_template, template_test

__all__ = ["files", "page", "recipients", "save_template", "template_test"]
