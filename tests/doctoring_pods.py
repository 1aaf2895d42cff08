"""The named edits by which the pods of a recorded history are doctored; the others are in `doctoring`."""

from __future__ import annotations

from conformance.names import (
    ADMISSION_GATE,
    BLOCK,
    CANARY_TAINT,
    GROUP_INDEX,
    KUEUE,
    RACK,
    REVISION,
    WORKER_INDEX,
)
from conformance.trace.history import View, gates, labels
from conformance.trace.records import Object
from editing import Edit, Find, When, added, altered, first, set_condition


def ungate(find: Find, when: When) -> Edit:
    """The pod has no gate of Kueue."""

    def alter(pod: Object, view: View) -> None:
        _set_gates(pod, [name for name in gates(pod) if not name.startswith(f"{KUEUE}/")])

    return altered("ungate", find, when, alter)


def gate_again(find: Find, when: When) -> Edit:
    """The pod has the admission gate, though it had lost it."""

    def alter(pod: Object, view: View) -> None:
        _set_gates(pod, [ADMISSION_GATE])

    return altered("gate_again", find, when, alter)


def _set_gates(pod: Object, names: list[str]) -> None:
    pod["spec"]["schedulingGates"] = [{"name": name} for name in names]


def bind(find: Find, when: When, host: str = "h1") -> Edit:
    """The pod is bound to this host, whatever gates it has."""

    def alter(pod: Object, view: View) -> None:
        pod["spec"]["nodeName"] = f"{view.tenant}-{host}"

    return altered("bind", find, when, alter)


def unbind(find: Find, when: When) -> Edit:
    """The pod is bound to no node."""

    def alter(pod: Object, view: View) -> None:
        del pod["spec"]["nodeName"]

    return altered("unbind", find, when, alter)


def move_within_rack(find: Find, when: When) -> Edit:
    """The pod is bound to the other host of its rack."""
    return _move("move_within_rack", find, when, same_rack=True)


def move_to_other_rack(find: Find, when: When) -> Edit:
    """The pod is bound to a host of another rack."""
    return _move("move_to_other_rack", find, when, same_rack=False)


def _move(name: str, find: Find, when: When, *, same_rack: bool) -> Edit:
    def alter(pod: Object, view: View) -> None:
        home = first([view.get("Node", pod["spec"]["nodeName"])], "Node of the pod")
        pod["spec"]["nodeName"] = _host_beside(view, home, same_rack=same_rack)["metadata"]["name"]

    return altered(name, find, when, alter)


def _host_beside(view: View, home: Object, *, same_rack: bool) -> Object:
    others = [node for node in hosts(view) if node is not home and (rack_of(node) == rack_of(home)) == same_rack]
    return first(others, "other Node")


def hosts(view: View) -> list[Object]:
    """The nodes under test: all but the canary's."""
    return [node for node in view.all("Node") if all(taint["key"] != CANARY_TAINT for taint in node["spec"]["taints"])]


def rack_of(node: Object) -> tuple[str | None, str | None]:
    return labels(node).get(BLOCK), labels(node).get(RACK)


def unready(find: Find, when: When) -> Edit:
    """The pod is not Ready."""
    return altered("unready", find, when, lambda pod, view: set_condition(pod, "Ready", "False"))


def report_scheduled(find: Find, when: When) -> Edit:
    """The pod says that it is scheduled."""
    return altered("report_scheduled", find, when, lambda pod, view: set_condition(pod, "PodScheduled", "True"))


def report_running(find: Find, when: When) -> Edit:
    """The pod says that it runs."""

    def alter(pod: Object, view: View) -> None:
        pod["status"]["phase"] = "Running"

    return altered("report_running", find, when, alter)


def mark_with_kueue(find: Find, when: When) -> Edit:
    """The pod carries a label of Kueue's."""

    def alter(pod: Object, view: View) -> None:
        pod["metadata"]["labels"][f"{KUEUE}/managed"] = "true"

    return altered("mark_with_kueue", find, when, alter)


def change_revision(find: Find, when: When) -> Edit:
    """The pod is of another template revision."""

    def alter(pod: Object, view: View) -> None:
        pod["metadata"]["labels"][REVISION] = "another"

    return altered("change_revision", find, when, alter)


def extra_pod(like: Find, when: When, **marks: int) -> Edit:
    """One pod more, with another `group` or `worker` index than the pod it is like."""

    def alter(pod: Object, view: View) -> None:
        keys = {"group": GROUP_INDEX, "worker": WORKER_INDEX}
        pod["metadata"]["labels"] |= {keys[name]: str(index) for name, index in marks.items()}

    return added("extra_pod", like, when, alter)
