"""The pages of the composer."""

from modules.outbox.compose.views import (
    at_once,
    files,
    letter,
    page,
    recipients,
    save_template,
    template_test,
)

__all__ = ["at_once", "files", "letter", "page", "recipients", "save_template", "template_test"]
