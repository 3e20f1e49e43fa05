"""The pages of mail configuration."""

from modules.mail_config.views import (  # noqa: F401 (they register their pages)
    servers,
    templates,
    templates_fields,
    templates_history,
    templates_sharing,
    templates_text,
)
from modules.mail_config.views.blueprint import blueprint

__all__ = ["blueprint"]
