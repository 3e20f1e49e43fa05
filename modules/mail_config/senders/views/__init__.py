"""The pages of senders: a user's own, and an administrator's."""

from modules.mail_config.senders.views import accounts, matrix, mine

__all__ = ["accounts", "matrix", "mine"]
