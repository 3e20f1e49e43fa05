"""The pages of the outbox."""

from modules.outbox.views import compose, mails, panels  # noqa: F401 (they register their pages)
from modules.outbox.views.blueprint import blueprint

__all__ = ["blueprint"]
