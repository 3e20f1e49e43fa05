"""Who may use the editor of templates without saving one that somebody manages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort

from core.auth.permissions import signed_in_user

EDIT = "mail_config.template.edit"
ADD = "mail_config.template.add"


def for_writers(view: Callable[..., Any]) -> Callable[..., Any]:
    """Keep a view to those who manage templates, or may save what they have written as one of their own."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        user = signed_in_user()
        if not user.can(EDIT) and not user.can(ADD):
            abort(403)
        return view(*args, **kwargs)

    return guarded
