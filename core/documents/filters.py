"""Filters that modules bring to every list of documents."""

from __future__ import annotations

from core.auth.models import User
from core.registry import current_registry, resolve_function
from core.web.criteria import Filter


def document_filters(user: User) -> list[Filter]:
    """Return the filters of a list of documents that modules bring and a user may use, in their order."""
    return [
        Filter(
            entry.name,
            entry.title,
            resolve_function(entry.condition)(),
            entry.group,
            resolve_function(entry.among) if entry.among else None,
        )
        for entry in current_registry().document_filters
        if entry.permission is None or user.can(entry.permission)
    ]
