"""What a fault is: the reference with one decision replaced, and which expectations must fail because of it.

@fault(
    "Pods are started while their group's Workload is not admitted.",
    caught={"UP-02": "gated", "ADM-02": ("gated", "atomic")},
    upstream="https://github.com/kubernetes-sigs/kueue/issues/…",
)
def ungated_before_admission() -> None:
    replace(pods, "may_run", lambda *given: True)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from conformance.errors import UsageError

F = TypeVar("F", bound=Callable[[], None])
DECLARED: Final = "__conformance_fault__"


@dataclass(frozen=True, slots=True)
class Fault:
    """A faulty implementation.

    `wrong` is one sentence: what it does. `caught` maps the id of a requirement, or the name of an invariant (`I2`), to
    the names, without arguments, of the expectations that must fail because of it: of a judged claim the one that
    fails (`gated`, `keeps pod_uids`, `admitted before has_workers`), of a promised claim one of its wait's, of an
    invariant its own name. `upstream` links the bug that it makes anew, if there was one.
    """

    name: str
    wrong: str
    caught: Mapping[str, tuple[str, ...]]
    upstream: str | None
    install: Callable[[], None]


def fault(wrong: str, *, caught: Mapping[str, str | tuple[str, ...]], upstream: str | None = None) -> Callable[[F], F]:
    """Declare a function as the fault of its name; called, it replaces a decision for the rest of the process.

    Raises UsageError for a sentence without a full stop, and for a fault that nothing is said to catch.
    """

    def declare(install: F) -> F:
        name = install.__name__.replace("_", "-")
        if not wrong.endswith("."):
            raise UsageError(f"fault {name}: what is wrong is one sentence; end it with a full stop")
        if not caught:
            raise UsageError(f"fault {name} names nothing that catches it; name at least one requirement")
        named = {key: (each,) if isinstance(each, str) else tuple(each) for key, each in caught.items()}
        setattr(install, DECLARED, Fault(name, wrong, named, upstream, install))
        return install

    return declare


_REPLACED: list[tuple[Any, str, Any]] = []


def replace(owner: Any, name: str, decision: Any) -> None:
    """Put another decision in the place of one of a module's or a class's.

    Raises UsageError when there is none of that name: the reference has moved on, and the fault would do nothing.
    """
    if name not in vars(owner):
        raise UsageError(f"{owner.__name__} decides nothing by the name {name}; the fault must name what does")
    _REPLACED.append((owner, name, vars(owner)[name]))
    setattr(owner, name, decision)


@contextlib.contextmanager
def at_work(fault: Fault) -> Iterator[None]:
    """The fault in this process for as long as the context lasts: for tests on values."""
    before = len(_REPLACED)
    try:
        fault.install()
        yield
    finally:
        while len(_REPLACED) > before:
            owner, name, decision = _REPLACED.pop()
            setattr(owner, name, decision)
