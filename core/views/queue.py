"""What stands on the queue, for administrators in developer mode."""

from __future__ import annotations

from flask import render_template

from core.auth.permissions import requires
from core.jobs import periodic_jobs
from core.pulse import pulse
from core.queue_figures import MOST_LISTED, QueueAwayError, Registry, figures
from core.views.blueprint import blueprint


@blueprint.get("/queue")
@requires("core.developer")
def queue() -> str:
    """Show workers, jobs and schedules by RQ's own figures."""
    try:
        found = figures()
    except QueueAwayError:
        found = None
    return render_template(
        "core/queue.html",
        figures=found,
        registries=list(Registry),
        repeated=periodic_jobs(),
        pulse=pulse(),
        most=MOST_LISTED,
    )
