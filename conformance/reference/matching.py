"""Which labels a selector accepts, which taints a pod stands, and so which flavors are open to it.

The rules are Kubernetes' own: label selectors and node affinity (docs: "Labels and Selectors", "Assigning Pods to
Nodes"), taints and tolerations. A flavor is skipped when the pods do not tolerate its `nodeTaints`, or when their
nodeSelector or required node affinity contradicts its `nodeLabels` (Kueue docs, ResourceFlavor). What pods ask of
labels that no flavor speaks of is the kube-scheduler's affair, not a reason to skip a flavor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from conformance.reference.model import Flavor, Match, Selector, Taint, Template, Toleration

_HARD: Final = ("NoSchedule", "NoExecute")


def holds(requirement: Match, labels: Mapping[str, str]) -> bool:
    """Whether one requirement holds of labels. An unknown operator, and Gt or Lt of what is no number, does not."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return value is not None and _compares(requirement.operator, value, requirement.values)
        case _:
            return False


def _compares(operator: str, value: str, bounds: tuple[str, ...]) -> bool:
    try:
        have, bound = int(value), int(bounds[0])
    except (ValueError, IndexError):
        return False
    return have > bound if operator == "Gt" else have < bound


def term_holds(term: tuple[Match, ...], labels: Mapping[str, str]) -> bool:
    """Whether every requirement of one term holds."""
    return all(holds(match, labels) for match in term)


def selector_matches(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector accepts labels; None accepts nothing, one without requirements everything."""
    return selector is not None and term_holds(selector.matches, labels)


def affinity_holds(affinity: tuple[tuple[Match, ...], ...], labels: Mapping[str, str]) -> bool:
    """Whether one of the terms of a required node affinity holds; without terms nothing is asked for."""
    return not affinity or any(term_holds(term, labels) for term in affinity)


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations covers a taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    # Without a key only Exists is legal; the API server refuses anything else.
    return bool(toleration.key) and toleration.operator in ("", "Equal") and toleration.value == taint.value


def tolerates_all(tolerations: Collection[Toleration], taints: Iterable[Taint]) -> bool:
    """Whether nothing in the taints keeps a pod away; PreferNoSchedule never does."""
    return all(taint.effect not in _HARD or tolerates(tolerations, taint) for taint in taints)


def flavor_refusal(template: Template, flavor: Flavor, keys: Collection[str] | None = None) -> str:
    """Why pods of this template cannot use a flavor; empty if they can.

    `keys` are the node labels that count: those of all flavors that are tried together (of one resource group), since
    a pod that asks for a label which only the second flavor has does not belong to the first. By default those of the
    flavor alone.
    """
    tolerations = (*template.tolerations, *flavor.tolerations)
    for taint in flavor.taints:
        if not tolerates_all(tolerations, (taint,)):
            return f"the pods do not tolerate the taint {taint.key} of flavor {flavor.name}"
    spoken = flavor.node_labels.keys() if keys is None else keys
    for key, value in template.selector.items():
        if key in spoken and flavor.node_labels.get(key) != value:
            return f"the node selector of the pods asks for another {key} than flavor {flavor.name} has"
    terms = [tuple(match for match in term if match.key in spoken) for term in template.affinity]
    # A term that says nothing about these keys can hold on nodes of the flavor whatever the other terms say.
    if terms and all(terms) and not any(term_holds(term, flavor.node_labels) for term in terms):
        return f"the node affinity of the pods leaves out the nodes of flavor {flavor.name}"
    return ""
