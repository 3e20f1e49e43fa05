"""The pages of the outbox."""

from modules.outbox.views import (  # noqa: F401 (they register their pages)
    actions,
    alerts,
    compose,
    lists,
    mail,
    panels,
    personal,
)
from modules.outbox.views.blueprint import blueprint

__all__ = ["blueprint"]
