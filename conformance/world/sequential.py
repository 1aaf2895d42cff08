"""The sequential part of a run: once all else is told and cleaned up, one phase after another.

Between two phases the implementation is started again under another configuration, so nothing may be told meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from conformance.clusters.restarting import Restarting
from conformance.errors import Cancelled, HarnessError
from conformance.world.phases import PHASES
from conformance.world.story import Story
from conformance.world.teller import Teller


def begin(
    teller: Teller, implementation: Restarting, stories: Sequence[Story], broken: Callable[[str], None]
) -> threading.Thread:
    """Tell the stories, in this order but for those of a phase, which wait for all others, on a thread of its own.

    `broken` is told what would else keep the stories of the phases waiting for ever.
    """
    after = [story for story in stories if story.phase is not None]
    teller.hold(after)
    teller.tell(story for story in stories if story.phase is None)
    thread = threading.Thread(
        target=_go_through, args=(teller, implementation, stories, broken), name="phases", daemon=True
    )
    thread.start()
    return thread


def _go_through(
    teller: Teller, implementation: Restarting, stories: Sequence[Story], broken: Callable[[str], None]
) -> None:
    try:
        _tell_all(teller, [story for story in stories if story.phase is None])
        for phase in PHASES:
            of_phase = [story for story in stories if story.phase == phase]
            if not of_phase:
                continue
            implementation.configure(phase.config)
            for turn in [[story] for story in of_phase] if phase.restarts else [of_phase]:
                _tell_all(teller, turn)
    except (HarnessError, Cancelled):
        pass  # whoever waits for these stories learns the same from `ground.alive`
    except Exception as error:  # a defect of ours must not leave claims waiting for ever
        broken(f"{type(error).__name__} between the phases of the run: {error}")


def _tell_all(teller: Teller, stories: Sequence[Story]) -> None:
    """Tell them side by side, and wait until the last one is cleaned up."""
    teller.tell(stories)
    for story in stories:
        teller.await_cleaned(story)
