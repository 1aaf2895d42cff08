"""The pods that are known, by group, and what all others take of each node, kept up to date change by change."""

from __future__ import annotations

from conformance.reference.model import Amounts, GroupKey, Key, Pod


class PodsKnown:
    """`groups` has the pods of managed groups; `foreign` sums what bound, unfinished pods of no group take, by node.

    `version` changes whenever `foreign` does.
    """

    def __init__(self) -> None:
        self.groups: dict[GroupKey, dict[Key, Pod]] = {}
        self.foreign: dict[str, Amounts] = {}
        self.version = 0
        self._known: dict[Key, Pod] = {}

    def get(self, key: Key) -> Pod | None:
        return self._known.get(key)

    def put(self, key: Key, pod: Pod | None) -> None:
        """A pod became this; None: it is gone."""
        before = self._known.get(key)
        if before is not None:
            self._leave(key, before, pod)
        self._enter(key, before, pod)
        if pod is None:
            self._known.pop(key, None)
        else:
            self._known[key] = pod

    def _leave(self, key: Key, before: Pod, pod: Pod | None) -> None:
        group = _group(before)
        if group is not None and (pod is None or _group(pod) != group):
            members = self.groups[group]
            del members[key]
            if not members:
                del self.groups[group]
        if _taken(before) != (None if pod is None else _taken(pod)):
            self._count(_taken(before), -1)

    def _enter(self, key: Key, before: Pod | None, pod: Pod | None) -> None:
        if pod is None:
            return
        group = _group(pod)
        if group is not None:
            self.groups.setdefault(group, {})[key] = pod
        if before is None or _taken(before) != _taken(pod):
            self._count(_taken(pod), +1)

    def _count(self, taken: tuple[str, Amounts] | None, sign: int) -> None:
        if taken is None:
            return
        node, amounts = taken
        # A new mapping each time: what was derived of an older version may still hold the old one.
        total = dict(self.foreign.get(node, {}))
        for resource, amount in amounts.items():
            total[resource] = total.get(resource, 0) + sign * amount
        self.foreign[node] = {resource: amount for resource, amount in total.items() if amount}
        if not self.foreign[node]:
            del self.foreign[node]
        self.version += 1


def _group(pod: Pod) -> GroupKey | None:
    if not pod.suspended or pod.group is None or not pod.set_name:
        return None
    return pod.namespace, pod.set_name, pod.group


def _taken(pod: Pod) -> tuple[str, Amounts] | None:
    """What a pod of no group takes of which node."""
    return None if _group(pod) is not None or not pod.node or pod.finished else (pod.node, pod.requests)
