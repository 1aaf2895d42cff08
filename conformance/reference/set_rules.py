"""What the webhooks make of a LeaderWorkerSet and which they refuse.

The rule (Kueue docs, "Run LeaderWorkerSet" and "LocalQueue defaulting"; rows DEF-01..05, QSEL-04..07, VAL-01..16,
QCH-01..04, PRI-04, PRI-05). A set without a queue goes to the LocalQueue named `default` where there is one. The
templates of a queued set are stamped: their pods are known to be suspended by their set, and carry its queue and
priority class. As long as a set is queued, nothing may change that its Workloads were charged for, since they are
never made anew: the size of a group, and of the templates what asks for resources or says where pods may run. Its queue
may change while no group is ready. An object that is being deleted is left alone, or its clean-up would be refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from conformance.names import (
    ELASTIC_JOB,
    GATED_BY,
    GROUP_SERVING,
    INDEX_OFFSET,
    KINDS,
    LWS_FRAMEWORK,
    PODSET_GROUP_NAME,
    PRIORITY_CLASS,
    QUEUE_NAME,
    SUSPENDING_PARENT,
)
from conformance.quantities import parse_quantity
from conformance.reference import groups, topology_rules
from conformance.reference.model import Rules, Snapshot
from conformance.reference.topology_rules import TEMPLATES, forbidden, invalid

DEFAULT_QUEUE: Final = "default"
IMMUTABLE: Final = "field is immutable"
LONGEST_GATE: Final = 63

_LWS: Final = KINDS["LeaderWorkerSet"]
_QUEUE_PATH: Final = f"metadata.labels[{QUEUE_NAME}]"
_PRIORITY_PATH: Final = f"metadata.labels[{PRIORITY_CLASS}]"
_GATES_PATH: Final = f"metadata.annotations[{GATED_BY}]"
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_GATE_PATH: Final = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")

_SHAPE: Final = (
    "nodeSelector", "affinity", "tolerations", "runtimeClassName", "priority", "topologySpreadConstraints", "overhead",
    "resourceClaims",
)  # fmt: skip
"""The fields of a pod spec, beside containers, that say what its Workload asks for and where its pods may run."""


# What the mutating webhook does


def mutate(
    set_: dict[str, Any], old: Mapping[str, Any] | None, snapshot: Snapshot, rules: Rules | None = None
) -> dict[str, Any]:
    """The set as it is to be stored; equal to the given one if nothing is missing, and that is never changed.

    It does the same at every update, so that what somebody takes off the templates comes back (VAL-16).
    """
    rules = rules or Rules()
    metadata = dict(_part(set_, "metadata"))
    if metadata.get("deletionTimestamp"):
        return set_
    labels = dict(metadata.get("labels") or {})
    namespace = metadata.get("namespace", "")
    if defaulted(labels, namespace, snapshot, rules):
        labels[QUEUE_NAME] = DEFAULT_QUEUE
        metadata["labels"] = labels
    if not groups.managed(labels, namespace, snapshot, rules):
        return set_
    spec = dict(_part(set_, "spec"))
    templates = dict(_part(spec, "leaderWorkerTemplate"))
    leader = templates.get("leaderTemplate")
    if leader is not None:
        templates["leaderTemplate"] = stamped(leader, labels)
    templates["workerTemplate"] = stamped(templates.get("workerTemplate") or {}, labels, workers=leader is not None)
    spec["leaderWorkerTemplate"] = templates
    return {**set_, "metadata": metadata, "spec": spec}


def defaulted(labels: Mapping[str, str], namespace: str, snapshot: Snapshot, rules: Rules) -> bool:
    """Whether the set goes to the queue `default`: it names none, and its namespace has one and is looked after."""
    if labels.get(QUEUE_NAME):
        return False
    queue = snapshot.local_queues.get((namespace, DEFAULT_QUEUE))
    return queue is not None and groups.namespace_selected(namespace, snapshot, rules)


def stamped(template: Mapping[str, Any], labels: Mapping[str, str], workers: bool = False) -> dict[str, Any]:
    """A template with what its pods must carry; `workers`: it is the workers' one beside a template for the leader."""
    metadata = dict(_part(template, "metadata"))
    its_labels = dict(_part(metadata, "labels"))
    for key in (QUEUE_NAME, PRIORITY_CLASS):
        if labels.get(key):
            its_labels[key] = labels[key]
    annotations = dict(_part(metadata, "annotations"))
    annotations |= {SUSPENDING_PARENT: LWS_FRAMEWORK, GROUP_SERVING: "true"}
    # In a podset group the leader takes the first rank of the group; elsewhere the workers' own first rank is theirs.
    if workers and PODSET_GROUP_NAME not in annotations:
        annotations[INDEX_OFFSET] = "1"
    metadata |= {"labels": its_labels, "annotations": annotations}
    return {**template, "metadata": metadata}


# What the validating webhook refuses


def validate(
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    snapshot: Snapshot | None = None,
    rules: Rules | None = None,
) -> list[str]:
    """Why a set, or a change from `old` to it, is refused: one sentence each, with the path of the field."""
    metadata = _part(new, "metadata")
    if metadata.get("deletionTimestamp"):
        return []
    found = [*_queue_name(new), *_elastic(new), *replica_range(new), *gates(_gated_by(new)), *_topology(new)]
    if old is None:
        return found
    found += [*queue_change(new, old), *priority_change(new, old), *gate_change(_gated_by(new), _gated_by(old))]
    if groups.managed(_labels(new), metadata.get("namespace", ""), snapshot or Snapshot(), rules or Rules()):
        found += [*charged(new, old), *size_change(new, old)]
    return found


def _queue_name(set_: Mapping[str, Any]) -> list[str]:
    name = _labels(set_).get(QUEUE_NAME)
    if name is None or (len(name) <= 253 and _SUBDOMAIN.fullmatch(name)):
        return []
    return [
        invalid(_QUEUE_PATH, name, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters")
    ]


def _elastic(set_: Mapping[str, Any]) -> list[str]:
    if _annotations(set_).get(ELASTIC_JOB) != "true":
        return []
    why = f'elastic job is not supported for "{_LWS.api_version}, Kind={_LWS.name}"'
    return [forbidden(f"metadata.annotations[{ELASTIC_JOB}]", why)]


def replica_range(set_: Mapping[str, Any]) -> list[str]:
    """Fewer groups than none are refused, and more than anybody has (kueue issue 12715)."""
    replicas = _part(set_, "spec").get("replicas")
    must = "invalid LeaderWorkerSet replicas: must be"
    if replicas is None:
        return []
    if replicas < 0:
        return [invalid("spec.replicas", replicas, f"{must} >= 0, got {replicas}")]
    if replicas > groups.MOST_GROUPS:
        return [invalid("spec.replicas", replicas, f"{must} <= {groups.MOST_GROUPS}, got {replicas}")]
    return []


def _topology(set_: Mapping[str, Any]) -> list[str]:
    templates = _templates(set_)
    leader = templates.get("leaderTemplate")
    return topology_rules.refusals(
        None if leader is None else _annotations(leader),
        _annotations(_part(templates, "workerTemplate")),
        _size(set_),
    )


def queue_change(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Another queue is refused while a group is ready, and no queue at all always."""
    before, after = _labels(old).get(QUEUE_NAME, ""), _labels(new).get(QUEUE_NAME, "")
    if before != after and (not after or ready_groups(old)):
        return [invalid(_QUEUE_PATH, after, IMMUTABLE)]
    return []


def ready_groups(set_: Mapping[str, Any]) -> int:
    return int(_part(set_, "status").get("readyReplicas") or 0)


def priority_change(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """A priority class may be exchanged at any time, added while no group is ready, and never removed."""
    before, after = _labels(old).get(PRIORITY_CLASS, ""), _labels(new).get(PRIORITY_CLASS, "")
    if not before and after and ready_groups(old):
        return [invalid(_PRIORITY_PATH, after, "WorkloadPriorityClass cannot be added to a non-suspended workload")]
    if before and not after:
        return [invalid(_PRIORITY_PATH, after, "WorkloadPriorityClass cannot be removed from a workload")]
    return []


def gates(written: str) -> list[str]:
    """Why a value of the annotation `admission-gated-by` is refused: names are `domain/path`, each once."""
    found: list[str] = []
    seen: set[str] = set()
    for gate in _split(written):
        if not gate:
            found.append(invalid(_GATES_PATH, written, "cannot contain empty gate names"))
        elif gate in seen:
            found.append(invalid(_GATES_PATH, written, f"duplicate gate name: {gate}"))
        else:
            domain, slash, path = gate.partition("/")
            if not slash or not path or not _SUBDOMAIN.fullmatch(domain) or not _GATE_PATH.fullmatch(path):
                why = 'must be a domain-prefixed path (such as "acme.io/foo")'
                found.append(invalid(_GATES_PATH, gate, why))
            if len(gate) > LONGEST_GATE:
                found.append(f"{_GATES_PATH}: Too long: may not be more than {LONGEST_GATE} bytes")
        seen.add(gate)
    return found


def gate_change(new: str, old: str) -> list[str]:
    """Gates may be taken away, in any order, never added: a set that runs cannot be held back again."""
    if new and not old:
        return [forbidden(_GATES_PATH, "cannot add admission gate after creation")]
    if set(_split(new)) - set(_split(old)):
        return [forbidden(_GATES_PATH, "can only remove gates, not add new ones")]
    return []


def size_change(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Another size is refused: more pods than the group's Workload was charged for would run (kueue issue 13807)."""
    if _size(new) == _size(old):
        return []
    return [invalid(f"{TEMPLATES}.size", _size(new), IMMUTABLE)]


# What a Workload was charged for


def charged(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """The fields of the templates that may not change while the set is queued, and did."""
    found: list[str] = []
    for name in ("leaderTemplate", "workerTemplate"):
        after, before = _templates(new).get(name), _templates(old).get(name)
        if after is not None and before is not None:
            found += spec_change(_part(after, "spec"), _part(before, "spec"), f"{TEMPLATES}.{name}.spec")
        elif after is not before:
            found.append(invalid(f"{TEMPLATES}.{name}", None, IMMUTABLE))
    return found


def spec_change(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> list[str]:
    """The same, of one pod spec."""
    found = [
        invalid(f"{path}.{field}", new.get(field), IMMUTABLE)
        for field in _SHAPE
        if not same(new.get(field), old.get(field))
    ]
    for field in ("containers", "initContainers"):
        found += _containers(new.get(field) or (), old.get(field) or (), f"{path}.{field}")
    if not same_amounts(_requests(new), _requests(old)):
        found.append(invalid(f"{path}.resources", _requests(new), IMMUTABLE))
    return found


def _containers(new: Sequence[Mapping[str, Any]], old: Sequence[Mapping[str, Any]], path: str) -> list[str]:
    if len(new) != len(old):
        return [invalid(path, None, IMMUTABLE)]
    found: list[str] = []
    for index, (after, before) in enumerate(zip(new, old, strict=True)):
        if not same_amounts(_requests(after), _requests(before)):
            found.append(invalid(f"{path}[{index}].resources.requests", _requests(after), IMMUTABLE))
        if not same(after.get("ports"), before.get("ports")):
            found.append(invalid(f"{path}[{index}].ports", after.get("ports"), IMMUTABLE))
    return found


def same(new: Any, old: Any) -> bool:
    """Whether two values mean the same: what is empty and what is not there do."""
    return bool(new == old) or (_empty(new) and _empty(old))


def same_amounts(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether two lists of resources are equal: `1` and `1000m` are."""
    if new.keys() != old.keys():
        return False
    return all(new[name] == old[name] or _same_quantity(new[name], old[name]) for name in new)


def _same_quantity(new: Any, old: Any) -> bool:
    try:
        return parse_quantity(new) == parse_quantity(old)
    except ValueError:
        return False


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, (dict, list, str)) and not value)


# Reading


def _part(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return holder.get(key) or {}


def _labels(set_: Mapping[str, Any]) -> Mapping[str, str]:
    return _part(_part(set_, "metadata"), "labels")


def _annotations(holder: Mapping[str, Any]) -> Mapping[str, str]:
    return _part(_part(holder, "metadata"), "annotations")


def _gated_by(set_: Mapping[str, Any]) -> str:
    return _annotations(set_).get(GATED_BY, "")


def _split(written: str) -> list[str]:
    return [gate.strip() for gate in written.split(",")] if written else []


def _templates(set_: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(_part(set_, "spec"), "leaderWorkerTemplate")


def _size(set_: Mapping[str, Any]) -> int:
    return int(_templates(set_).get("size") or 1)


def _requests(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(_part(holder, "resources"), "requests")
