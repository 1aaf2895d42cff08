"""The implementation seam: what queues LeaderWorkerSets on a cluster, and which features it declares.

An implementation is put on a cluster that a provider gives; stories and claims know it by its features alone. To add
one, write a module here and name it in `open_implementation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from conformance.clusters import Cluster
from conformance.errors import UsageError, nearest

if TYPE_CHECKING:
    from conformance.clusters.running import RunningProgram
    from conformance.components import Components

FEATURES: Final = (
    "core", "scaling", "topology", "topology-slices", "node-replacement", "preemption", "cohorts", "flavors",
    "admission-checks", "rolling-update", "stop-policy", "gated-by", "pods-ready", "defaulting", "priority",
)  # fmt: skip
"""What an implementation may declare; `core` cannot be un-declared."""

IMPLEMENTATIONS: Final = ("kueue", "reference", "installed")
DEVIATIONS: Final = Path(__file__).with_name("deviations.yaml")


class Implementation(Protocol):
    """Something that queues LeaderWorkerSets."""

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> frozenset[str]: ...

    version: str
    source: str
    """Where it comes from: a released module, a checkout, a binary, or the cluster itself."""
    config: dict[str, Any]
    """The configuration it runs with, as far as it is known; complete once it has been put on."""
    scope: str
    """Value of the label `names.SCOPE_LABEL` on all that it is to manage; empty if it manages everything."""

    @property
    def program(self) -> RunningProgram | None:
        """Its process, once it has been put on; None where it is not ours to stop and start."""

    @property
    def deviations(self) -> Path:
        """The file of its known deviations."""

    def put_on(self, cluster: Cluster) -> None:
        """Put it on a cluster that is up or coming up, and wait until it answers.

        Raises UsageError when the cluster is not fit for it, HarnessError when it does not come up.
        """


def unbuilt(name: str) -> tuple[str, ...]:
    """The components of which this implementation needs the manifests and no program."""
    return ("kueue",) if name == "reference" else ()


def open_implementation(
    name: str, *, components: Components | None = None, config: Path | None = None
) -> Implementation:
    """The implementation of that name. `kueue` and `reference` have `components` and a `config`, a file over their own.

    Raises UsageError for an unknown name, an unreadable file or a file that is no mapping.
    """
    match name:
        case "kueue":
            from conformance.implementations.kueue import Kueue, read_config

            if components is None:
                raise UsageError(
                    "the implementation kueue needs its components; name a release line with --kueue-version"
                )
            return Kueue(components, read_config(config) if config is not None else {})
        case "reference":
            from conformance.implementations.reference import Reference, read_config

            if components is None:
                raise UsageError(
                    "the implementation reference needs its components; name a release line with --kueue-version"
                )
            return Reference(components, read_config(config) if config is not None else {})
        case "installed":
            from conformance.implementations.installed import Installed

            if config is not None:
                raise UsageError("--kueue-config is for the implementation kueue, not for what is already installed")
            return Installed()
    known = list(IMPLEMENTATIONS)
    raise UsageError(f"unknown implementation {name!r}; there are: {', '.join(known)}.{nearest(name, known)}")
