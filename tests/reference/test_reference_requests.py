"""What one pod asks for: the kube rule, and what a namespace and a runtime class add to it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reference import requests
from conformance.reference.model import Container, LimitRange, PodSet, Snapshot, Template

CPU, MEMORY = "cpu", "memory"


def asking(cpu: int, sidecar: bool = False) -> Container:
    return Container(requests={CPU: cpu}, sidecar=sidecar)


def podset(*containers: Container, **fields: object) -> PodSet:
    return PodSet("worker", 2, Template(containers=containers, **fields))  # type: ignore[arg-type]


def test_containers_are_summed() -> None:
    """A pod asks for the sum of its containers, resource by resource."""
    template = Template(containers=(asking(100), Container(requests={CPU: 50, MEMORY: 7})))
    assert requests.raw(template) == {CPU: 150, MEMORY: 7}


def test_the_largest_init_container_counts() -> None:
    """An init container that asks for more than everything that runs later decides."""
    assert requests.raw(Template(containers=(asking(100),), init_containers=(asking(300), asking(200)))) == {CPU: 300}


def test_sidecars_run_beside_the_containers() -> None:
    """A sidecar is added to the containers, and to the init containers that start after it, not to those before."""
    sidecar = asking(50, sidecar=True)
    template = Template(containers=(asking(100),), init_containers=(asking(120), sidecar, asking(110)))
    assert requests.raw(template) == {CPU: 160}
    template = Template(containers=(asking(10),), init_containers=(asking(120), sidecar))
    assert requests.raw(template) == {CPU: 120}


def test_pod_level_requests_stand_in() -> None:
    """A request of the pod stands in for the sum of its containers, for that resource alone."""
    template = Template(containers=(Container(requests={CPU: 100, "gpu": 8}),), pod_requests={CPU: 70})
    assert requests.raw(template) == {CPU: 70, "gpu": 8}


def test_overhead_is_added() -> None:
    """The overhead of a pod is added to whatever it asks for, pod-level requests included."""
    assert requests.raw(Template(containers=(asking(100),), overhead={CPU: 5, MEMORY: 9})) == {CPU: 105, MEMORY: 9}
    assert requests.raw(Template(containers=(asking(100),), pod_requests={CPU: 70}, overhead={CPU: 5})) == {CPU: 75}


def test_a_limit_alone_is_the_request() -> None:
    """A container with a limit and no request asks for the limit."""
    assert requests.raw(Template(containers=(Container({CPU: 1}, {CPU: 9, MEMORY: 3}),))) == {CPU: 1, MEMORY: 3}


def test_runtime_class_gives_the_overhead() -> None:
    """The RuntimeClass's overhead counts where the template says none; a missing class has none."""
    snapshot = Snapshot(overheads={"kata": {CPU: 20}})
    assert requests.of_podset(snapshot, "ns", podset(asking(1), runtime_class="kata")) == ({CPU: 21}, "")
    own = podset(asking(1), runtime_class="kata", overhead={CPU: 2})
    assert requests.of_podset(snapshot, "ns", own) == ({CPU: 3}, "")
    assert requests.of_podset(snapshot, "ns", podset(asking(1), runtime_class="gone")) == ({CPU: 1}, "")


def ranges(*items: LimitRange) -> Snapshot:
    return Snapshot(limit_ranges={(item.namespace, item.name): item for item in items})


def test_limit_range_fills_what_is_missing() -> None:
    """Defaults of the namespace's LimitRanges fill what a container leaves out; the first one named wins."""
    snapshot = ranges(
        LimitRange("ns", "b", default_requests={CPU: 99, MEMORY: 4}),
        LimitRange("ns", "a", default_requests={CPU: 10}, default_limits={MEMORY: 50}),
        LimitRange("other", "a", default_requests={"gpu": 1}),
    )
    assert requests.of_podset(snapshot, "ns", podset(Container())) == ({CPU: 10, MEMORY: 4}, "")
    assert requests.of_podset(snapshot, "ns", podset(asking(30))) == ({CPU: 30, MEMORY: 4}, "")


def test_default_limit_becomes_the_request() -> None:
    """A default limit without a default request is what the container asks for."""
    snapshot = ranges(LimitRange("ns", "a", default_limits={CPU: 40}))
    assert requests.of_podset(snapshot, "ns", podset(Container())) == ({CPU: 40}, "")


def test_request_above_its_limit_never_runs() -> None:
    """A container that asks for more than its limit is told so, and so is one in the init containers."""
    bad = Container({CPU: 2}, {CPU: 1})
    assert "requests must not exceed its limits" in requests.of_podset(Snapshot(), "ns", podset(bad))[1]
    inside = podset(asking(1), init_containers=(bad,))
    assert "podset worker" in requests.of_podset(Snapshot(), "ns", inside)[1]


def test_limit_range_bounds_are_kept() -> None:
    """Requests and limits above the smallest maximum or below the largest minimum are refused."""
    snapshot = ranges(
        LimitRange("ns", "a", maximum={CPU: 100}, minimum={CPU: 10}),
        LimitRange("ns", "b", maximum={CPU: 80}, minimum={CPU: 20}),
    )

    def refusal(container: Container) -> str:
        return requests.of_podset(snapshot, "ns", podset(container))[1]

    assert refusal(asking(80)) == ""
    assert refusal(asking(20)) == ""
    assert "above the limitRange max" in refusal(asking(81))
    assert "above the limitRange max" in refusal(Container({CPU: 30}, {CPU: 90}))
    assert "below the limitRange min" in refusal(asking(19))
    assert "below the limitRange min" in refusal(Container())


def test_a_template_that_cannot_be_read_is_a_problem() -> None:
    """What reading found wrong with a template is told before anything else."""
    assert requests.of_podset(Snapshot(), "ns", podset(asking(1), problem="unreadable"))[1] == "unreadable"


_amounts = st.dictionaries(st.sampled_from([CPU, MEMORY, "gpu"]), st.integers(0, 5), max_size=3)
_containers = st.lists(st.builds(Container, requests=_amounts, sidecar=st.booleans()), max_size=4).map(tuple)


def moments(template: Template, resource: str) -> list[int]:
    """What is in use at each moment of a pod's life, told by living it."""
    used: list[int] = []
    sidecars = 0
    for container in template.init_containers:
        used.append(sidecars + container.requests.get(resource, 0))
        if container.sidecar:
            sidecars += container.requests.get(resource, 0)
    used.append(sidecars + sum(container.requests.get(resource, 0) for container in template.containers))
    return used


@settings(deadline=None, max_examples=150)
@given(containers=_containers, init_containers=_containers)
def test_a_pod_asks_for_its_worst_moment(
    containers: tuple[Container, ...], init_containers: tuple[Container, ...]
) -> None:
    """Of each resource a pod asks for the most that it uses at any moment of its life."""
    template = Template(containers=containers, init_containers=init_containers)
    asked = requests.raw(template)
    for resource in (CPU, MEMORY, "gpu"):
        assert asked.get(resource, 0) == max(moments(template, resource))
