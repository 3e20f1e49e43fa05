"""The pages of sales."""

from modules.sales.views import editor, invoices, lists, orders  # noqa: F401 (they register their pages)
from modules.sales.views.blueprint import blueprint

__all__ = ["blueprint"]
