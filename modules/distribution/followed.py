"""What open pages follow while it is worked on."""

from __future__ import annotations

from collections.abc import Mapping

from core.live.states import RowStates, States
from modules.distribution.models import Print

STATES: Mapping[str, States] = {
    "distribution.print": RowStates(Print.id, (Print.state, Print.made, Print.touched_at)),
}
