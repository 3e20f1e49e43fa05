"""All pages of distribution: importing this registers them with its blueprint."""

from modules.distribution.blueprint import blueprint
from modules.distribution.views import documents, rules

__all__ = ["blueprint", "documents", "rules"]
