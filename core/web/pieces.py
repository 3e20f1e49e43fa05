"""What a piece of an open page is answered with, besides itself."""

from __future__ import annotations

PAGE_ANEW = {"HX-Trigger": "page-anew"}
"""The headers by which the page around a piece is loaded anew, once nobody is using it (`static/live.js`)."""
