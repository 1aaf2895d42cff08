"""What a LeaderWorkerSet may ask of the topology: its templates' annotations, checked before anything rests on them.

The rule (Kueue docs, "Topology Aware Scheduling"; KEP-2724; rows VAL-05..08): at most one of required, preferred and
unconstrained for a template; levels are label keys; a slice has both a level and a size that its podset can fill; a
podset group joins exactly the leader and the workers, both with the same required or preferred level, and excludes
slices; layers of slices are one to three, each size divides the one above. What these rules refuse could never be
placed, and its group would wait for ever without saying why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from conformance.names import (
    PODSET_GROUP_NAME,
    PREFERRED_TOPOLOGY,
    REQUIRED_TOPOLOGY,
    SLICE_CONSTRAINTS,
    SLICE_SIZE,
    SLICE_TOPOLOGY,
    UNCONSTRAINED_TOPOLOGY,
)
from conformance.reference import podsets

MODES: Final = (REQUIRED_TOPOLOGY, PREFERRED_TOPOLOGY, UNCONSTRAINED_TOPOLOGY)
MOST_LAYERS: Final = 3
TEMPLATES: Final = "spec.leaderWorkerTemplate"

_NAME: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
_PREFIX: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")


def invalid(path: str, value: object, why: str) -> str:
    """A refusal in the words of the API machinery; None as value leaves the value out."""
    return f"{path}: Invalid value: {why}" if value is None else f"{path}: Invalid value: {json.dumps(value)}: {why}"


def forbidden(path: str, why: str) -> str:
    return f"{path}: Forbidden: {why}"


def refusals(leader: Mapping[str, str] | None, worker: Mapping[str, str], size: int) -> list[str]:
    """Why these annotations of the two templates are refused; `leader` is None without a `leaderTemplate`."""
    worker_path = f"{TEMPLATES}.workerTemplate.metadata.annotations"
    if leader is None:
        return [*_of_template(worker, worker_path, size), *_alone(worker, worker_path)]
    leader_path = f"{TEMPLATES}.leaderTemplate.metadata.annotations"
    found = [*_of_template(leader, leader_path, 1), *_of_template(worker, worker_path, size - 1)]
    return found + _together(leader, leader_path, worker, worker_path)


def _of_template(annotations: Mapping[str, str], path: str, count: int) -> list[str]:
    if not annotations:
        return []
    found: list[str] = []
    if sum(mode in annotations for mode in MODES) > 1:
        listed = ", ".join(f'"{mode}"' for mode in MODES)
        found.append(invalid(path, None, f"must not contain more than one topology annotation: [{listed}]"))
    for key in (REQUIRED_TOPOLOGY, PREFERRED_TOPOLOGY, SLICE_TOPOLOGY):
        if key in annotations and not label_key(annotations[key]):
            found.append(invalid(f"{path}[{key}]", annotations[key], "name part must be a valid label name"))
    unconstrained = annotations.get(UNCONSTRAINED_TOPOLOGY, "true")
    if unconstrained not in podsets.BOOLEANS:
        found.append(invalid(f"{path}[{UNCONSTRAINED_TOPOLOGY}]", unconstrained, "must be a boolean value"))
    return (
        found + _group_name(annotations, path) + _slices(annotations, path, count) + _layers(annotations, path, count)
    )


def label_key(written: str) -> bool:
    """Whether it can be the key of a label: a name of up to 63 characters, after a DNS prefix or alone."""
    prefix, slash, name = written.rpartition("/")
    if slash and not (len(prefix) <= 253 and _PREFIX.fullmatch(prefix)):
        return False
    return len(name) <= 63 and _NAME.fullmatch(name) is not None


# Podset groups


def _group_name(annotations: Mapping[str, str], path: str) -> list[str]:
    name = annotations.get(PODSET_GROUP_NAME)
    if name is None:
        return []
    at = f"{path}[{PODSET_GROUP_NAME}]"
    found = [invalid(at, name, "must not be a number")] if name.isascii() and name.isdigit() else []
    for slices in (SLICE_SIZE, SLICE_TOPOLOGY, SLICE_CONSTRAINTS):
        if slices in annotations:
            found.append(forbidden(at, f"may not be set when '{slices}' is specified"))
    if REQUIRED_TOPOLOGY not in annotations and PREFERRED_TOPOLOGY not in annotations:
        neither = f"neither '{PREFERRED_TOPOLOGY}' nor '{REQUIRED_TOPOLOGY}'"
        found.append(forbidden(at, f"may not be set when {neither} is specified"))
    return found


def _grouped(annotations: Mapping[str, str]) -> str | None:
    """The group that the annotations join: without a level there is none, and that is refused on its own."""
    if REQUIRED_TOPOLOGY in annotations or PREFERRED_TOPOLOGY in annotations:
        return annotations.get(PODSET_GROUP_NAME)
    return None


def _alone(annotations: Mapping[str, str], path: str) -> list[str]:
    name = _grouped(annotations)
    if name is None:
        return []
    why = "can only define groups of exactly 2 pod sets, got: 1 pod set(s)"
    return [invalid(f"{path}[{PODSET_GROUP_NAME}]", name, why)]


def _together(leader: Mapping[str, str], leader_path: str, worker: Mapping[str, str], worker_path: str) -> list[str]:
    name = _grouped(leader)
    if name is None or name != _grouped(worker):
        return _alone(leader, leader_path) + _alone(worker, worker_path)
    if _level(leader) == _level(worker):
        return []
    must = f"must specify '{REQUIRED_TOPOLOGY}' or '{PREFERRED_TOPOLOGY}' topology consistent with"
    pairs = ((leader_path, worker_path), (worker_path, leader_path))
    return [invalid(path, None, f"{must} '{other}' in group '{name}'") for path, other in pairs]


def _level(annotations: Mapping[str, str]) -> tuple[str | None, str | None]:
    """What is asked for: required goes before preferred, as where the podset is made."""
    if REQUIRED_TOPOLOGY in annotations:
        return annotations[REQUIRED_TOPOLOGY], None
    return None, annotations.get(PREFERRED_TOPOLOGY)


# Slices


def _slices(annotations: Mapping[str, str], path: str, count: int) -> list[str]:
    at = f"{path}[{SLICE_SIZE}]"
    written = annotations.get(SLICE_SIZE)
    if written is None:
        if SLICE_TOPOLOGY in annotations:
            return [f"{at}: Required value: must be set when '{SLICE_TOPOLOGY}' is specified"]
        return []
    found: list[str] = []
    if not _WHOLE.fullmatch(written) or not -(2**31) <= int(written[:40]) < 2**31:
        found.append(invalid(at, written, "must be a numeric value"))
    elif int(written) < 1:
        found.append(invalid(at, written, "must be greater than or equal to 1"))
    elif int(written) > count:
        found.append(invalid(at, written, f"must not be greater than pod set count {count}"))
    if SLICE_TOPOLOGY not in annotations:
        found.append(forbidden(at, f"may not be set when '{SLICE_TOPOLOGY}' is not specified"))
    return found


def _layers(annotations: Mapping[str, str], path: str, count: int) -> list[str]:
    written = annotations.get(SLICE_CONSTRAINTS)
    if written is None:
        return []
    at = f"{path}[{SLICE_CONSTRAINTS}]"
    found = [
        forbidden(at, f"may not be set when '{other}' is specified")
        for other in (SLICE_TOPOLOGY, SLICE_SIZE)
        if other in annotations
    ]
    try:
        layers = json.loads(written)
    except ValueError as error:
        return [*found, invalid(at, written, f"must be a valid JSON array: {error}")]
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return [*found, invalid(at, written, "must be a valid JSON array: an array of objects is expected")]
    if not 0 < len(layers) <= MOST_LAYERS:
        why = f"topology constraints must contain between 1 and {MOST_LAYERS} entries"
        return [*found, invalid(at, written, why)]
    return found + _of_layers(layers, at, count)


def _of_layers(layers: list[dict[str, Any]], at: str, count: int) -> list[str]:
    found: list[str] = []
    seen: dict[str, int] = {}
    above: int | None = None
    for index, layer in enumerate(layers):
        level, size = layer.get("topology", ""), layer.get("size", 0)
        if not isinstance(level, str) or not label_key(level):
            found.append(invalid(f"{at}[{index}].topology", level, "name part must be a valid label name"))
        elif level in seen:
            also = f'"{level} (also at index {seen[level]})"'
            found.append(f"{at}[{index}].topology: Duplicate value: {also}")
        else:
            seen[level] = index
        if type(size) is not int or size < 1:
            found.append(invalid(f"{at}[{index}].size", size, "must be greater than or equal to 1"))
            above = None
            continue
        if above is not None and above % size:
            found.append(invalid(f"{at}[{index}].size", size, f"must evenly divide the parent layer size {above}"))
        if index == 0 and size > count:
            found.append(invalid(at, size, f"must not be greater than pod set count {count}"))
        above = size
    return found
