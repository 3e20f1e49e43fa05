"""The pages of a mail, and the panels that show mails on other pages."""

from modules.outbox.mail_page.views import actions, page, panels

__all__ = ["actions", "page", "panels"]
