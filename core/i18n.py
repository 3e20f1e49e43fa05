"""How strings are marked for translation, for files on every floor."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext, ngettext, pgettext

__all__ = ["N_", "gettext", "lazy_gettext", "ngettext", "pgettext"]


def N_(message: str) -> str:  # noqa: N802 (the customary name of the marker)
    """Mark a string for extraction; whoever shows it calls `gettext` on it."""
    return message
