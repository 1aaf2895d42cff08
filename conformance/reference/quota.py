"""How much a ClusterQueue may still use: nominal quota, borrowing and lending in a tree of cohorts.

Rule (spec §1.3; Kueue docs, "Cluster Queue" and "Cohort"; KEP-79 hierarchical cohorts), for each flavor and resource:
what a node of the tree keeps for itself is its subtree's quota above its lending limit; the rest it stores in its
parent. `available(x) = max(0, own(x) - used(x)) + min(available(parent), borrowing room)`, where the borrowing room is
what x stores in its parent, minus what it uses there, plus its borrowing limit; at the root, quota minus use. A
Workload counts from its reservation to the end of its reservation, whether its pods run or not.

A cohort that no Cohort object describes exists all the same, without quota of its own. Cohorts that are their own
ancestors have no quota to share: every queue below them can give nothing until the cycle is broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from conformance.reference.draft import Draft
from conformance.reference.model import NOTHING, Cohort, FlavorResource, Quota, Snapshot, Usage


@dataclass(slots=True, eq=False)
class Node:
    """A ClusterQueue or a cohort in its tree; `total` is the subtree's quota as far as this node can use it."""

    name: str
    quotas: Mapping[FlavorResource, Quota]
    parent: Node | None = None
    height: int = 0
    """The longest way down to a queue: 0 for a queue itself."""
    children: list[Node] = field(default_factory=list)
    """Only for summing up: a copy has none."""
    total: dict[FlavorResource, int] = field(default_factory=dict)
    used: dict[FlavorResource, int] = field(default_factory=dict)


def kept(node: Node, key: FlavorResource) -> int:
    """The part of a node's quota that its lending limit keeps from everybody else; nothing without a limit."""
    quota = node.quotas.get(key)
    if quota is None or quota.lending_limit is None:
        return 0
    return max(0, node.total.get(key, 0) - quota.lending_limit)


def borrowing_room(node: Node, key: FlavorResource) -> int | None:
    """How much of its parent's quota a node may still take; None: as much as there is."""
    quota = node.quotas.get(key)
    if quota is None or quota.borrowing_limit is None:
        return None
    own = kept(node, key)
    stored = node.total.get(key, 0) - own
    return stored - max(0, node.used.get(key, 0) - own) + quota.borrowing_limit


def available(node: Node, key: FlavorResource) -> int:
    """What a node may still use; negative where more is in use than there is quota (quota was taken away)."""
    if node.parent is None:
        return node.total.get(key, 0) - node.used.get(key, 0)
    shared = available(node.parent, key)
    room = borrowing_room(node, key)
    if room is not None:
        shared = min(shared, room)
    return max(0, kept(node, key) - node.used.get(key, 0)) + shared


def potential(node: Node, key: FlavorResource) -> int:
    """What a node could use if nothing were in use anywhere."""
    total = node.total.get(key, 0)
    if node.parent is None:
        return total
    most = kept(node, key) + potential(node.parent, key)
    quota = node.quotas.get(key)
    if quota is not None and quota.borrowing_limit is not None:
        most = min(most, total + quota.borrowing_limit)
    return most


def use(node: Node, key: FlavorResource, amount: int) -> None:
    """Use that much more at a node (less, if negative); what exceeds the quota it keeps is used at its parent."""
    while True:
        own = kept(node, key)
        before = node.used.get(key, 0)
        node.used[key] = before + amount
        if node.parent is None:
            return
        amount = max(0, before + amount - own) - max(0, before - own)
        if amount == 0:
            return
        node = node.parent


def lowest_that_holds(queue: Node, usage: Usage) -> Node | None:
    """The queue, or the nearest of its cohorts, whose own quota holds a request beside what it uses; None: none does.

    What a node keeps for itself is used there, so only the rest is asked of its parent.
    """
    remaining = dict(usage)
    for node in upwards(queue):
        if all(node.used.get(key, 0) + amount <= node.total.get(key, 0) for key, amount in remaining.items()):
            return node
        for key, amount in remaining.items():
            remaining[key] = max(0, amount - max(0, kept(node, key) - node.used.get(key, 0)))
    return None


def upwards(node: Node | None) -> Iterator[Node]:
    """A node of the tree and everything above it."""
    while node is not None:
        yield node
        node = node.parent


def cohort_problem(snapshot: Snapshot, cohort: str) -> str:
    """Why a cohort has no root, as a sentence; empty where it has one."""
    seen: set[str] = set()
    name = cohort
    while name:
        if name in seen:
            return f"Cohort {cohort} is in a cycle of parents: {', '.join(sorted(seen))}"
        seen.add(name)
        found = snapshot.cohorts.get(name)
        if found is not None and found.problem:
            return f"Cohort {name} cannot be used: {found.problem}"
        name = found.parent if found is not None else ""
    return ""


def reservations(draft: Draft) -> Iterator[tuple[str, Usage]]:
    """What every Workload that reserves takes of its ClusterQueue, those being evicted or deleted included."""
    for workload in draft.all_workloads():
        if workload.reserves and workload.admission is not None:
            yield workload.admission.cluster_queue, workload.admission.usage()


class Ledger:
    """Quota and use of every ClusterQueue; all amounts are thousandths. Names that it does not know have no quota."""

    def __init__(self, queues: Mapping[str, Node], problems: Mapping[str, str] = NOTHING) -> None:
        self._queues = queues
        self._problems = problems
        self._trees: dict[int, list[str]] = {}

    @classmethod
    def of(cls, draft: Draft) -> Ledger:
        """The quota of the snapshot, used by every Workload that reserves, those being evicted or deleted included."""
        queues, problems = trees(draft.snapshot)
        ledger = cls(queues, problems)
        for queue, usage in reservations(draft):
            ledger.take(queue, usage)
        return ledger

    def copy(self) -> Ledger:
        """An independent ledger with the same quota and use."""
        copies: dict[int, Node] = {}
        return Ledger({name: _copy(node, copies) for name, node in self._queues.items()}, self._problems)

    def available(self, queue: str, key: FlavorResource) -> int:
        """What the queue may still use, borrowing included; negative where quota is overrun."""
        node = self._queues.get(queue)
        return available(node, key) if node and queue not in self._problems else 0

    def potential(self, queue: str, key: FlavorResource) -> int:
        """What the queue could use at most, if nothing were used anywhere."""
        node = self._queues.get(queue)
        return potential(node, key) if node and queue not in self._problems else 0

    def nominal(self, queue: str, key: FlavorResource) -> int:
        """The queue's nominal quota; 0 where it has none."""
        node = self._queues.get(queue)
        return node.total.get(key, 0) if node else 0

    def used(self, queue: str, key: FlavorResource) -> int:
        """What the queue uses."""
        node = self._queues.get(queue)
        return node.used.get(key, 0) if node else 0

    def fits(self, queue: str, usage: Usage) -> bool:
        """Whether the queue may use that much more of everything. What is not used is not looked at."""
        return all(amount <= self.available(queue, key) for key, amount in usage.items() if amount > 0)

    def borrows(self, queue: str, usage: Usage) -> bool:
        """Whether the queue would use more than its nominal quota of something that is added to."""
        return any(
            self.used(queue, key) + amount > self.nominal(queue, key) for key, amount in usage.items() if amount > 0
        )

    def borrowing_level(self, queue: str, usage: Usage) -> int:
        """How far up its tree the queue must borrow to use that much more: 0 not at all, 1 of its siblings, and so on.

        It is the height of the lowest node whose quota holds the usage; where none does, more than that of any.
        """
        node = self._queues.get(queue)
        if node is None:
            return 0
        holder = lowest_that_holds(node, {key: amount for key, amount in usage.items() if amount > 0})
        return _root(node).height + 1 if holder is None else holder.height

    def borrowing(self, queue: str, key: FlavorResource) -> bool:
        """Whether the queue uses more than its nominal quota now."""
        return self.used(queue, key) > self.nominal(queue, key)

    def take(self, queue: str, usage: Usage) -> None:
        """Count a usage, whether it fits or not."""
        node = self._queues.get(queue)
        if node is not None:
            for key, amount in usage.items():
                use(node, key, amount)

    def release(self, queue: str, usage: Usage) -> None:
        """Count a usage no more: exactly undoes `take`."""
        self.take(queue, {key: -amount for key, amount in usage.items()})

    def node(self, queue: str) -> Node | None:
        """The queue in its tree: preemption looks at the cohorts above it. For reading only."""
        return self._queues.get(queue)

    def cohort_of(self, queue: str) -> str:
        """The root cohort of the queue's tree; empty where it is in none."""
        node = self._queues.get(queue)
        if node is None or node.parent is None:
            return ""
        return _root(node).name

    def members(self, queue: str) -> list[str]:
        """All ClusterQueues of its tree, itself included, by name."""
        node = self._queues.get(queue)
        if node is None:
            return []
        if not self._trees:
            for name in sorted(self._queues):
                self._trees.setdefault(id(_root(self._queues[name])), []).append(name)
        return list(self._trees[id(_root(node))])

    def problem(self, queue: str) -> str:
        """Why the queue can give nothing, as a sentence; empty where it can."""
        return self._problems.get(queue, "")


def trees(snapshot: Snapshot) -> tuple[dict[str, Node], dict[str, str]]:
    """A node for each ClusterQueue, tied into its tree, and what is wrong with the trees of some of them."""
    cohorts: dict[str, Node] = {}
    queues: dict[str, Node] = {}
    problems: dict[str, str] = {}
    broken: dict[str, str] = {}
    for queue in snapshot.cluster_queues.values():
        node = queues[queue.name] = Node(queue.name, queue.quotas)
        if not queue.cohort:
            continue
        if queue.cohort not in broken:
            broken[queue.cohort] = cohort_problem(snapshot, queue.cohort)
        if broken[queue.cohort]:
            problems[queue.name] = broken[queue.cohort]
            continue
        node.parent = _cohort(snapshot.cohorts, queue.cohort, cohorts)
        node.parent.children.append(node)
    for cohort in snapshot.cohorts.values():
        if not cohort_problem(snapshot, cohort.name):
            _cohort(snapshot.cohorts, cohort.name, cohorts)
    for root in [node for node in (*cohorts.values(), *queues.values()) if node.parent is None]:
        _sum_up(root)
    return queues, problems


def _cohort(described: Mapping[str, Cohort], name: str, made: dict[str, Node]) -> Node:
    """The node of a cohort without a cycle above it, tied to its parent."""
    if name in made:
        return made[name]
    found = described.get(name)
    node = made[name] = Node(name, found.quotas if found else {})
    if found is not None and found.parent:
        node.parent = _cohort(described, found.parent, made)
        node.parent.children.append(node)
    return node


def _sum_up(node: Node) -> None:
    """Compute `total` and `height` from the leaves up."""
    node.total = {key: quota.nominal for key, quota in node.quotas.items()}
    for child in node.children:
        _sum_up(child)
        node.height = max(node.height, child.height + 1)
        for key, total in child.total.items():
            node.total[key] = node.total.get(key, 0) + total - kept(child, key)


def _copy(node: Node, copies: dict[int, Node]) -> Node:
    """A copy of a node and of all nodes above it. Quota is shared, since nobody changes it; use is not."""
    if id(node) in copies:
        return copies[id(node)]
    copied = copies[id(node)] = Node(node.name, node.quotas, height=node.height, total=node.total, used=dict(node.used))
    if node.parent is not None:
        copied.parent = _copy(node.parent, copies)
    return copied


def _root(node: Node) -> Node:
    while node.parent is not None:
        node = node.parent
    return node
