"""The pages of runs."""

from modules.outbox.runs.views import items, page  # noqa: F401 (they register their pages)
