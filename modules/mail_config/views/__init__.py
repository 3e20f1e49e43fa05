"""The pages of mail configuration."""

from modules.mail_config.views import servers, templates  # noqa: F401 (they register their pages)
from modules.mail_config.views.blueprint import blueprint

__all__ = ["blueprint"]
