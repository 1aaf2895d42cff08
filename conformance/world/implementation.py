"""The implementation as a story of the phase `restarts` sees it: it can be stopped, and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.clusters.restarting import Restarting
from conformance.errors import HarnessError

if TYPE_CHECKING:
    from conformance.world.tenant import Tenant


class ImplementationHandle:
    """What is judged, in the hand of a story. While it is stopped, nothing that its webhooks see can be written."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def stop(self) -> None:
        """End its process. Raises HarnessError in a story that is told while others are."""
        restarting = self._restarting
        self._tenant.did("stop", "Implementation", restarting.name)
        restarting.stop()

    def start(self) -> None:
        """Start it again and wait until its webhooks answer."""
        restarting = self._restarting
        restarting.start()
        self._tenant.did("start", "Implementation", restarting.name)

    def leave_running(self) -> None:
        """Start it if the story left it stopped: what comes next, the clean-up first of all, needs it."""
        restarting = self._tenant.ground.restarting
        if restarting is not None and restarting.stopped:
            self.start()

    @property
    def _restarting(self) -> Restarting:
        phase, restarting = self._tenant.story.phase, self._tenant.ground.restarting
        if phase is None or not phase.restarts:
            name = self._tenant.story.name
            raise HarnessError(f"story {name} cannot restart what others use; declare it with phase=RESTARTS")
        if restarting is None:
            raise HarnessError("the implementation is not ours to restart")
        self._tenant.ground.alive()
        return restarting
