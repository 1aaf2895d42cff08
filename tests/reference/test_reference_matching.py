"""Selectors, tolerations and flavors."""

from __future__ import annotations

import pytest

from conformance.reference import matching
from conformance.reference.model import Flavor, Match, Selector, Taint, Template, Toleration


@pytest.mark.parametrize(
    ("match", "labels", "holds"),
    [
        (Match("a", "In", ("1", "2")), {"a": "2"}, True),
        (Match("a", "In", ("1", "2")), {"a": "3"}, False),
        (Match("a", "In", ("1",)), {}, False),
        (Match("a", "NotIn", ("1",)), {"a": "2"}, True),
        (Match("a", "NotIn", ("1",)), {"a": "1"}, False),
        (Match("a", "NotIn", ("1",)), {}, True),
        (Match("a", "Exists"), {"a": ""}, True),
        (Match("a", "Exists"), {}, False),
        (Match("a", "DoesNotExist"), {}, True),
        (Match("a", "DoesNotExist"), {"a": ""}, False),
        (Match("a", "Gt", ("9",)), {"a": "10"}, True),
        (Match("a", "Gt", ("10",)), {"a": "10"}, False),
        (Match("a", "Lt", ("10",)), {"a": "9"}, True),
        (Match("a", "Lt", ("10",)), {"a": "10"}, False),
        (Match("a", "Gt", ("9",)), {"a": "many"}, False),
        (Match("a", "Gt", ()), {"a": "10"}, False),
        (Match("a", "Lt", ("9",)), {}, False),
        (Match("a", "Like", ("1",)), {"a": "1"}, False),
    ],
)
def test_requirement(match: Match, labels: dict[str, str], holds: bool) -> None:
    """A requirement on labels holds as Kubernetes says; what cannot be understood does not hold."""
    assert matching.holds(match, labels) is holds


def test_no_selector_selects_nothing() -> None:
    """A selector that is not there accepts nothing, an empty one everything, another all of its requirements."""
    both = Selector((Match("a", "Exists"), Match("b", "Exists")))
    assert not matching.selector_matches(None, {"a": "1"})
    assert matching.selector_matches(Selector(), {})
    assert matching.selector_matches(both, {"a": "1", "b": "1"})
    assert not matching.selector_matches(both, {"a": "1"})


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        (Toleration("gpu", "Equal", "yes", "NoSchedule"), True),
        (Toleration("gpu", "Equal", "yes"), True),
        (Toleration("gpu", "", "yes"), True),
        (Toleration("gpu", "Exists"), True),
        (Toleration("", "Exists"), True),
        (Toleration("", "Exists", "", "NoExecute"), False),
        (Toleration("", "Equal", "yes"), False),
        (Toleration("gpu", "Equal", "no"), False),
        (Toleration("cpu", "Exists"), False),
        (Toleration("gpu", "Equal", "yes", "NoExecute"), False),
    ],
)
def test_toleration(toleration: Toleration, tolerated: bool) -> None:
    """A toleration covers a taint by key, value and effect, each of which it may leave open as Kubernetes says."""
    taint = Taint("gpu", "yes", "NoSchedule")
    assert matching.tolerates((toleration,), taint) is tolerated
    assert matching.tolerates_all((toleration,), (taint,)) is tolerated


def test_preference_is_no_taint_to_tolerate() -> None:
    """Only NoSchedule and NoExecute keep pods away."""
    assert matching.tolerates_all((), (Taint("a", "", "PreferNoSchedule"),))
    assert not matching.tolerates_all((), (Taint("a", "", "NoSchedule"),))
    assert not matching.tolerates_all((), (Taint("a", "", "NoExecute"),))


FLAVOR = Flavor("spot", {"type": "spot"}, (Taint("spot", "yes"),), (), "")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (Template(tolerations=(Toleration("spot", "Exists"),)), ""),
        (Template(), "taint spot"),
        (Template(tolerations=(Toleration("", "Exists"),), selector={"type": "spot"}), ""),
        (Template(tolerations=(Toleration("", "Exists"),), selector={"type": "dear"}), "node selector"),
        (Template(tolerations=(Toleration("", "Exists"),), selector={"zone": "a"}), ""),
        (Template(tolerations=(Toleration("", "Exists"),), affinity=((Match("type", "In", ("dear",)),),)), "affinity"),
        (
            Template(
                tolerations=(Toleration("", "Exists"),),
                affinity=((Match("type", "In", ("dear",)),), (Match("type", "In", ("spot",)),)),
            ),
            "",
        ),
        (
            Template(
                tolerations=(Toleration("", "Exists"),),
                affinity=((Match("type", "In", ("dear",)),), (Match("zone", "In", ("a",)),)),
            ),
            "",
        ),
    ],
)
def test_flavor_refusal(template: Template, why: str) -> None:
    """A flavor is skipped for its taints and for what its labels contradict, not for labels it does not speak of."""
    refusal = matching.flavor_refusal(template, FLAVOR)
    assert why in refusal
    assert bool(refusal) is bool(why)


def test_flavors_own_tolerations() -> None:
    """A flavor's tolerations are given to its pods, so they count for them."""
    own = Flavor("spot", {}, (Taint("spot", "yes"),), (Toleration("spot", "Exists"),))
    assert matching.flavor_refusal(Template(), own) == ""


def test_labels_of_the_other_flavors_count() -> None:
    """A pod that asks for a label which only another flavor of the resource group has does not fit the first."""
    first = Flavor("plain", {"type": "plain"})
    template = Template(selector={"gpu": "h100"})
    assert matching.flavor_refusal(template, first) == ""
    assert matching.flavor_refusal(template, first, {"type", "gpu"}) != ""
