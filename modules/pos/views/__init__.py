"""The pages of the till."""

from modules.pos.views import configuration, sessions, tickets, till  # noqa: F401 (they register their pages)
from modules.pos.views.blueprint import blueprint

__all__ = ["blueprint"]
