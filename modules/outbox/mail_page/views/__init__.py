"""The pages of a mail."""

from modules.outbox.mail_page.views import actions, page

__all__ = ["actions", "page"]
