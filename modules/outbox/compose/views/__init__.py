"""The pages of the composer."""

from modules.outbox.compose.views import (
    at_once,
    files,
    page,
    recipients,
    save_template,
    template_test,
    waiting,
)

__all__ = ["at_once", "files", "page", "recipients", "save_template", "template_test", "waiting"]
