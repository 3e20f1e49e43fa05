"""The pages of core."""

from core.views import (  # noqa: F401 (they register their pages)
    account,
    companies,
    documents,
    followers,
    links,
    lists,
    modules,
    partners,
    people,
    products,
    roles,
    signature,
    users,
)
from core.views.blueprint import blueprint

__all__ = ["blueprint"]
