"""Slots: named places in pages that modules fill.

| slot | where | keywords |
|---|---|---|
| `document.actions` | buttons of a document page | `document` |
| `document.status` | beside the title of a document page | `document` |
| `document.aside` | panels beside a document | `document` |
| `document.list_status` | a cell in lists of documents | `document` |
| `list.actions` | buttons above a list in which rows are selected; they post the form around it | `of`, `name` |
| `partner.aside` | panels beside a customer | `partner` |
| `partner_list.actions` | buttons beside a list of recipients | `list_id` |
| `shell.bar` | the top bar | none |
| `shell.banner` | above every page of who is signed in | none |
| `shell.user` | entries of the menu with the user's name | none |

A fill returns Markup, "" for nothing; it checks the permissions of the current user itself. It must not
change anything, and an exception in it is logged and costs its piece of the page, not the page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flask import current_app
from markupsafe import Markup

from core.registry import current_registry, resolve_function

logger = logging.getLogger(__name__)

SLOTS: Mapping[str, tuple[str, ...]] = {
    "document.actions": ("document",),
    "document.status": ("document",),
    "document.aside": ("document",),
    "document.list_status": ("document",),
    "list.actions": ("of", "name"),
    "partner.aside": ("partner",),
    "partner_list.actions": ("list_id",),
    "shell.bar": (),
    "shell.banner": (),
    "shell.user": (),
}
"""The slots of core, and the keywords that their fills get."""


def slot(name: str, /, **keywords: object) -> Markup:
    """Return what the modules put into a slot, in their order."""
    pieces = []
    for fill in current_registry().slots.get(name, ()):
        try:
            pieces.append(Markup(resolve_function(fill.function)(**keywords)))  # noqa: S704 (fills return Markup)
        except Exception:
            if current_app.testing:
                raise
            logger.exception("The fill %s of the slot %s failed.", fill.function, name)
    return Markup("").join(pieces)
