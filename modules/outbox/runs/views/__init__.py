"""The pages of runs."""

from modules.outbox.runs.views import items, page, text  # noqa: F401 (they register their pages)
