"""The pages of core."""

from core.views import (  # noqa: F401 (they register their pages)
    account,
    begin,
    companies,
    documents,
    followers,
    health,
    keys,
    links,
    lists,
    live,
    modules,
    partner_import,
    partner_labels,
    partner_lists,
    partner_merge,
    partner_quick,
    partners,
    people,
    product_import,
    products,
    queue,
    roles,
    signature,
    tax_rules,
    users,
)
from core.views.blueprint import blueprint

__all__ = ["blueprint"]
