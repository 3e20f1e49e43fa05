"""The pages of the composer."""

from modules.outbox.compose.views import (
    answer,
    at_once,
    files,
    letter,
    page,
    recipients,
    save_template,
    template_test,
    waiting,
)

__all__ = [
    "answer",
    "at_once",
    "files",
    "letter",
    "page",
    "recipients",
    "save_template",
    "template_test",
    "waiting",
]
