"""How the tests are shared out between processes: by file, journeys to as few of them as can drive them in time.

Journeys share a house and a browser, which take long to start: one process of two or three drives them, two of four do,
since they are a fourth of all work. Another one begins with them only when nothing else is left. A process that dies
costs the test that it was at: another one goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

JOURNEYS = "tests/journeys/"
# One house for so many processes.
HOUSE_FOR = 2
# Fewer files of journeys are not worth the start of another house.
WORTH_A_HOUSE = 3


class Sharing(LoadScopeScheduling):
    """Hands out files of tests in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back what a process that has ended was given; what it was at has failed, and is not tried again."""
        given = self.assigned_work.pop(node)
        left = {scope: tests for scope, tests in given.items() if not all(tests.values())}
        ended_at = next((test for tests in left.values() for test, done in tests.items() if not done), None)
        if ended_at is not None:
            left[self._split_scope(ended_at)][ended_at] = True
            self.workqueue.update({scope: tests for scope, tests in left.items() if not all(tests.values())})
            for other in self.nodes:
                self._reschedule(other)
        return ended_at

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take down which tests a process has found.

        Raises:
            RuntimeError: A process that takes the place of another one has found others; it could not go on.
        """
        if self.collection is not None and list(collection) != self.collection:
            raise RuntimeError(
                f"{node.gateway.id} has found other tests than the process whose place it takes."
            )
        super().add_node_collection(node, collection)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a process work until it can begin: it needs to know the test after the one that it begins."""
        if node.shutting_down or node not in self.registered_collections:
            return
        while self._pending_of(self.assigned_work[node]) < 2:
            if self._next_scope(node) is None:
                node.shutdown()
                return
            self._assign_work_unit(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope = self._next_scope(node)
        if scope is not None:
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _next_scope(self, node: WorkerController) -> str | None:
        """Return the file that a process goes on with, None if there is none for it."""
        journeys = [scope for scope in self.workqueue if scope.startswith(JOURNEYS)]
        others = [scope for scope in self.workqueue if not scope.startswith(JOURNEYS)]
        drivers = [driver for driver in self.nodes if self._drives(driver)]
        if journeys and (node in drivers or len(drivers) < max(1, len(self.nodes) // HOUSE_FOR)):
            return journeys[0]
        if others:
            return others[0]
        # Those who have a house take the first ones.
        return journeys[-1] if len(journeys) >= WORTH_A_HOUSE else None

    def _drives(self, node: WorkerController) -> bool:
        return not node.shutting_down and any(
            scope.startswith(JOURNEYS) for scope in self.assigned_work[node]
        )
