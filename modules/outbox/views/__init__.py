"""The pages of the outbox."""

from modules.outbox.views import (  # noqa: F401 (they register their pages)
    actions,
    alerts,
    compose,
    compose_files,
    compose_parts,
    compose_save,
    lists,
    mail,
    panels,
    personal,
    template_test,
)
from modules.outbox.views.blueprint import blueprint

__all__ = ["blueprint"]
