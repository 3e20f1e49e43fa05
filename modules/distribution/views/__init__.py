"""All pages of distribution: importing this registers them with its blueprint."""

from modules.distribution.blueprint import blueprint
from modules.distribution.views import documents, history, paper, rules

__all__ = ["blueprint", "documents", "history", "paper", "rules"]
