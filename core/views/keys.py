"""The keys that encrypt secrets, for administrators in developer mode; never the keys themselves."""

from __future__ import annotations

from flask import render_template

from core.auth.permissions import requires
from core.registry import current_settings
from core.rotation import look
from core.views.blueprint import blueprint


@blueprint.get("/keys")
@requires("core.developer")
def keys() -> str:
    """Show which key encrypts how much, and what cannot be read."""
    return render_template(
        "core/keys.html", found=look(), by_environment=bool(current_settings().encryption_keys)
    )
