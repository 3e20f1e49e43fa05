"""What open pages of core follow while it is worked on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.imports.models import Import
from core.kept import forget, kept
from core.live.states import RowStates, States, word_for
from core.pulse import pulse
from core.queue_figures import Figures, QueueAwayError, figures

KEPT_SECONDS = 0.8
_KEPT = "queue_word"


class QueueStates:
    """The queue, whose figures stand in Redis alone."""

    KEY = "all"

    def shown(self, thing: Figures | None) -> tuple[str, str]:
        """Return a word for figures, without when each worker was heard of; None for a queue that is away."""
        if thing is None:
            return self.KEY, word_for(["away", pulse().alive])
        workers = [(one.name, one.state, one.job, one.succeeded, one.failed) for one in thing.workers]
        jobs = [(registry, [job.id for job in several]) for registry, several in thing.jobs.items()]
        return self.KEY, word_for([workers, dict(thing.counts), jobs, pulse().alive])

    def now(self, keys: Collection[str]) -> Mapping[str, str]:
        """Return the word of the queue, kept for a moment: asking Redis for all of it costs more than a statement."""
        return dict([kept(_KEPT, lambda _before: (self.shown(_figures()), KEPT_SECONDS))]) if keys else {}


def figures_now() -> Figures | None:
    """Return what stands on the queue for a page, or None where it cannot be asked."""
    forget(_KEPT)  # older than what the page shows
    return _figures()


def _figures() -> Figures | None:
    try:
        return figures()
    except QueueAwayError:
        return None


STATES: Mapping[str, States] = {
    "core.import": RowStates(Import.id, (Import.state, Import.done, Import.touched_at)),
    "core.queue": QueueStates(),
}
