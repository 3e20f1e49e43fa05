"""The pages of a mail."""

from modules.outbox.mail_page.views import actions, answers, page

__all__ = ["actions", "answers", "page"]
