"""What open pages of core follow while it is worked on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.imports.models import Import
from core.live.states import RowStates, States, word_for
from core.pulse import pulse
from core.queue_figures import Figures, QueueAwayError, figures


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
        """Return the word of the queue."""
        return dict([self.shown(figures_now())]) if keys else {}


def figures_now() -> Figures | None:
    """Return what stands on the queue, or None where it cannot be asked."""
    try:
        return figures()
    except QueueAwayError:
        return None


STATES: Mapping[str, States] = {
    "core.import": RowStates(Import.id, (Import.state, Import.done, Import.touched_at)),
    "core.queue": QueueStates(),
}
