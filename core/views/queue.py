"""What stands on the queue, for administrators in developer mode."""

from __future__ import annotations

from flask import render_template

from core.auth.permissions import requires
from core.jobs import periodic_jobs
from core.pulse import pulse
from core.queue_figures import MOST_LISTED, Registry
from core.views.blueprint import blueprint
from core.views.followed import figures_now


@blueprint.get("/queue")
@requires("core.developer")
def queue() -> str:
    """Show workers, jobs and schedules by RQ's own figures."""
    found = figures_now()
    return render_template(
        "core/queue.html",
        figures=found,
        registries=list(Registry),
        repeated=periodic_jobs(),
        pulse=pulse(),
        most=MOST_LISTED,
    )
