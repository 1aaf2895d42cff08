"""The recorder on a real API server: complete, in spite of broken watches, and honest where it cannot be."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.clusters import Cluster
from conformance.errors import Cancelled, HarnessError
from conformance.kube import Kube
from conformance.names import KINDS, RUN_LABEL, TENANT_LABEL, Kind
from conformance.trace.fence import fence
from conformance.trace.history import View
from conformance.trace.recorder import Recorder
from conformance.trace.records import Change, Edit, Fence, Gap, Header, Record, read
from conformance.trace.waiting import Feed

SECONDS = 60.0
BUILT_IN, CUSTOM = "Secret", "WorkloadPriorityClass"
"""A namespaced kind, and a cluster-scoped one whose API came after revision 1, so that a watch from there is 410."""
Object = dict[str, Any]


def alive() -> None:
    """The run goes on."""


class Fragile(Kube):
    """The client, over connections that a test can cut and restore."""

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__(kubeconfig, "test-recorder", timeout=SECONDS)
        self._connected = threading.Event()
        self._connected.set()
        self._cuts: list[Callable[[], None]] = []
        self.expired = ""
        """The kind whose next watch asks for the oldest revision, which the server no longer has."""

    def stream(
        self,
        path: str,
        query: Mapping[str, Any],
        *,
        idle: float,
        opened: Callable[[Callable[[], None]], None] | None = None,
    ) -> Iterator[bytes]:
        self._connected.wait(SECONDS)
        if self.expired and path == KINDS[self.expired].path():
            self.expired, query = "", {**query, "resourceVersion": "1"}

        def note(end: Callable[[], None]) -> None:
            self._cuts.append(end)
            if opened is not None:
                opened(end)

        return super().stream(path, query, idle=idle, opened=note)

    def cut(self) -> None:
        self._connected.clear()
        cuts, self._cuts = self._cuts, []
        for end in cuts:
            end()

    def restore(self) -> None:
        self._connected.set()


@pytest.fixture
def kube(local_cluster: Cluster) -> Kube:
    return Kube(local_cluster.kubeconfig, "test")


@pytest.fixture
def fragile(local_cluster: Cluster) -> Fragile:
    return Fragile(local_cluster.kubeconfig)


class World:
    """A tenant with a recorder that follows it."""

    def __init__(self, kube: Kube, recorder: Recorder, path: Path) -> None:
        self.kube, self.recorder, self.path = kube, recorder, path
        self.tenant = f"t-{uuid.uuid4().hex[:8]}"
        self.feed: Feed = recorder.follow(self.tenant)
        self.namespace(self.tenant)

    def namespace(self, name: str) -> None:
        self.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def secret(self, name: str, namespace: str = "") -> Object:
        meta = {"name": name, "namespace": namespace or self.tenant}
        return self.kube.create({"apiVersion": "v1", "kind": BUILT_IN, "metadata": meta})

    def custom(self, name: str) -> Object:
        meta = {"name": f"{self.tenant}-{name}", "labels": {TENANT_LABEL: self.tenant}}
        return self.kube.create({"apiVersion": KINDS[CUSTOM].api_version, "kind": CUSTOM, "metadata": meta, "value": 1})

    def touch(self, obj: Object) -> Object:
        meta = obj["metadata"]
        patch = {"metadata": {"annotations": {"touched": uuid.uuid4().hex}}}
        return self.kube.patch(obj["kind"], meta["name"], meta.get("namespace"), patch)

    def delete(self, obj: Object) -> None:
        self.kube.delete(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace"))

    def await_present(self, obj: Object) -> None:
        """Wait until the feed holds this state of the object."""
        meta = obj["metadata"]
        self.await_(lambda _: self.feed.revision_of(meta["uid"]) >= int(meta["resourceVersion"]) or None)

    def await_(self, test: Callable[[View], bool | None]) -> None:
        self.feed.wait(test, SECONDS, alive)

    def fence(self, kube: Kube | None = None, seconds: float = SECONDS, alive: Callable[[], None] = alive) -> Fence:
        return fence(kube or self.kube, self.recorder, self.feed, self.tenant, "s", "told", seconds, alive)

    def lines(self) -> list[Record]:
        self.recorder.flush()
        return list(read(self.path))

    def changes(self, kind: str) -> list[tuple[str, str, bool]]:
        """(type, short name, implied) of every change of a kind, in the order of their revisions."""
        found = [line for line in self.lines() if isinstance(line, Change) and line.kind == kind]
        found.sort(key=lambda change: change.revision)
        return [(change.type, change.name.removeprefix(f"{self.tenant}-"), change.implied) for change in found]


@pytest.fixture
def world(kube: Kube, fragile: Fragile, tmp_path: Path) -> Iterator[World]:
    path = tmp_path / "trace.ndjson"
    recorder = Recorder(fragile, path, run="r", ordered=True, kinds=(BUILT_IN, CUSTOM), on_error=pytest.fail, page=2)
    recorder.start(SECONDS)
    world = World(kube, recorder, path)
    yield world
    fragile.restore()
    recorder.stop()
    kube.delete_all(CUSTOM, labelSelector=f"{TENANT_LABEL}={world.tenant}")
    kube.delete("Namespace", world.tenant)


def test_every_change_of_the_tenant_is_recorded_once_and_nothing_else(world: World) -> None:
    """Creation, change and deletion of the tenant's objects are in the trace; what others do on the cluster is not."""
    foreign = f"{world.tenant}-foreign"
    world.namespace(foreign)
    world.secret("theirs", foreign)
    mine, labelled = world.secret("mine"), world.custom("c")
    world.delete(world.touch(mine))
    world.await_present(labelled)
    world.await_(lambda _: world.feed.was_deleted(mine["metadata"]["uid"]) or None)
    world.kube.delete("Namespace", foreign)
    assert world.changes(BUILT_IN) == [
        ("ADDED", "mine", False),
        ("MODIFIED", "mine", False),
        ("DELETED", "mine", False),
    ]
    assert world.changes(CUSTOM) == [("ADDED", "c", False)]


def test_the_revision_of_a_deletion_is_its_own(world: World) -> None:
    """A deletion carries its own revision, not that of the last state, so it has its place in the order."""
    last = world.touch(world.secret("s"))
    world.delete(last)
    later = world.secret("later")
    world.await_present(later)
    deleted = next(line for line in world.lines() if isinstance(line, Change) and line.type == "DELETED")
    assert int(last["metadata"]["resourceVersion"]) < deleted.revision < int(later["metadata"]["resourceVersion"])


def test_objects_are_recorded_complete_but_for_managed_fields(world: World) -> None:
    """Every recorded object says its kind and lacks managedFields; its namesake in the feed is the same state."""
    created = world.custom("c")
    world.await_present(created)
    (change,) = (line for line in world.lines() if isinstance(line, Change))
    expected = {**created, "metadata": {k: v for k, v in created["metadata"].items() if k != "managedFields"}}
    assert change.object == expected
    assert world.feed.read(lambda view: view.get(CUSTOM, created["metadata"]["name"])) == expected


def test_a_killed_watch_resumes_without_a_gap(world: World, fragile: Fragile) -> None:
    """What happened while the connection was down is told by the next watch: all of it, once, and no gap is marked."""
    first = world.secret("first")
    world.await_present(first)
    fragile.cut()
    world.touch(first)
    short_lived = world.secret("short-lived")
    world.delete(short_lived)
    fragile.restore()
    world.await_present(world.secret("last"))
    assert world.changes(BUILT_IN) == [
        ("ADDED", "first", False),
        ("MODIFIED", "first", False),
        ("ADDED", "short-lived", False),
        ("DELETED", "short-lived", False),
        ("ADDED", "last", False),
    ]
    assert not [line for line in world.lines() if isinstance(line, Gap)]


def test_an_expired_watch_lists_again_and_says_what_may_be_missing(world: World, fragile: Fragile) -> None:
    """After a real 410: the difference, deletions implied, and one gap that reaches over everything not seen."""
    same, changed, deleted, reborn = (world.custom(name) for name in ("same", "changed", "deleted", "reborn"))
    for obj in (same, changed, deleted, reborn):
        world.await_present(obj)
    fragile.cut()
    world.delete(deleted)
    world.delete(reborn)
    again = world.custom("reborn")
    changed = world.touch(changed)
    passed_by = world.custom("passed-by")
    world.delete(passed_by)
    fragile.expired = CUSTOM
    fragile.restore()
    for obj in (again, changed):
        world.await_present(obj)
    world.await_(lambda _: world.feed.was_deleted(deleted["metadata"]["uid"]) or None)
    last = world.custom("last")
    world.await_present(last)
    assert sorted(world.changes(CUSTOM)[4:]) == [
        ("ADDED", "last", False),
        ("ADDED", "reborn", False),
        ("DELETED", "deleted", True),
        ("DELETED", "reborn", True),
        ("MODIFIED", "changed", False),
    ]
    (gap,) = (line for line in world.lines() if isinstance(line, Gap))
    assert gap.kind == CUSTOM
    assert gap.after < int(again["metadata"]["resourceVersion"]) <= gap.until < int(last["metadata"]["resourceVersion"])
    found = world.feed.read(lambda view: view.get(CUSTOM, again["metadata"]["name"]))
    assert found is not None
    assert found["metadata"]["uid"] == again["metadata"]["uid"]


# The fence


def test_the_fence_holds_when_the_trace_has_caught_up(world: World) -> None:
    """It is written behind the changes that it stands for, at a revision that covers them."""
    obj = world.secret("s")
    world.delete(world.custom("c"))
    obj = world.touch(obj)
    found = world.fence()
    assert found.revision >= int(obj["metadata"]["resourceVersion"])
    assert world.lines()[-1] == found
    assert world.changes(CUSTOM) == [("ADDED", "c", False), ("DELETED", "c", False)]
    assert world.changes(BUILT_IN)[-1] == ("MODIFIED", "s", False)


def test_the_fence_waits_for_the_watch(world: World, fragile: Fragile) -> None:
    """While a watch is behind, the fence does not hold; it does as soon as the watch has caught up."""
    obj = world.secret("s")
    world.await_present(obj)
    fragile.cut()
    obj = world.touch(obj)
    asked: list[int] = []

    def restore_when_waiting() -> None:
        asked.append(world.feed.latest)
        if len(asked) == 3:  # asked before listing, before waiting, and now after a wake-up that changed nothing
            fragile.restore()
        elif len(asked) == 2:
            threading.Thread(target=world.recorder.wake, daemon=True).start()

    world.fence(alive=restore_when_waiting)
    assert asked[2] < int(obj["metadata"]["resourceVersion"]) <= world.feed.latest
    assert [type(line) for line in world.lines()[-2:]] == [Change, Fence]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda world, obj: world.touch(obj), "Secret s is at revision .*, the trace holds revision "),
        (lambda world, obj: world.secret("new"), "Secret new is at revision .*, the trace holds nothing"),
        (lambda world, obj: world.delete(obj), "Secret s is gone, the trace holds no deletion of it"),
    ],
    ids=["changed", "created", "deleted"],
)
def test_a_fence_that_does_not_hold_names_what_differs(
    world: World, fragile: Fragile, edit: Callable[[World, Object], None], sentence: str
) -> None:
    """A trace that does not catch up is an error, never a verdict."""
    obj = world.secret("s")
    world.await_present(obj)
    fragile.cut()
    edit(world, obj)
    with pytest.raises(HarnessError, match=sentence):
        world.fence(seconds=0.1)
    assert not [line for line in world.lines() if isinstance(line, Fence)]


def test_the_end_of_the_run_ends_a_fence(world: World, fragile: Fragile) -> None:
    """What `alive` raises ends the waiting for a fence as it ends every wait."""
    fragile.cut()
    world.secret("s")
    ended = threading.Event()

    def alive_until_woken() -> None:
        if ended.is_set():
            raise Cancelled("the run is being ended")
        threading.Thread(target=end, daemon=True).start()

    def end() -> None:
        ended.set()
        world.recorder.wake()

    with pytest.raises(Cancelled):
        world.fence(alive=alive_until_woken)


# Beginning and end


def test_the_header_comes_first_and_lines_of_the_teller_follow(world: World) -> None:
    """The first line says how changes are ordered; moments, edits and the like are lines among the changes."""
    edit = Edit(received=1.0, story="s", verb="create", kind="Pod", namespace=world.tenant, name="p", revision=5)
    world.recorder.write(edit)
    assert world.lines() == [Header(run="r", ordered=True, lag=0.0), edit]


def test_the_records_of_a_story_are_at_hand(world: World) -> None:
    """What the file holds of a story is given from memory, too: header, its own lines, its tenant's changes."""
    mine, other = (
        Edit(received=1.0, story=story, verb="create", kind="Pod", namespace="n", name="p", revision=5)
        for story in ("mine", "other")
    )
    world.recorder.write(mine)
    world.recorder.write(other)
    world.await_present(world.secret("s"))
    found = world.recorder.records_of("mine", world.tenant)
    assert sorted(map(str, found)) == sorted(str(line) for line in world.lines() if line != other)


def test_stragglers_of_an_unfollowed_tenant_are_still_recorded(world: World) -> None:
    """Unfollowing ends the waiting, not the recording: what a clean-up leaves behind is seen."""
    obj = world.secret("s")
    world.await_present(obj)
    world.recorder.unfollow(world.tenant)
    later = World(world.kube, world.recorder, world.path)
    world.touch(obj)
    later.await_present(later.secret("other"))
    world.kube.delete("Namespace", later.tenant)
    assert ("MODIFIED", "s", False) in world.changes(BUILT_IN)
    assert world.feed.latest == int(obj["metadata"]["resourceVersion"])


def test_stop_leaves_no_thread_and_a_complete_file(kube: Kube, tmp_path: Path) -> None:
    """Stopping ends every thread at once, although all of them wait for the server; stopping twice is no harm."""
    before = set(threading.enumerate())
    path = tmp_path / "trace.ndjson"
    recorder = Recorder(kube, path, run="r", ordered=True, kinds=("Pod", "Node", "Event"), on_error=pytest.fail)
    recorder.start(SECONDS)
    assert len(set(threading.enumerate()) - before) == 4
    recorder.stop()
    assert set(threading.enumerate()) <= before
    recorder.stop()
    assert list(read(path)) == [Header(run="r", ordered=True, lag=0.0)]


def test_where_revisions_give_no_order_the_watch_lag_is_measured(kube: Kube, tmp_path: Path) -> None:
    """The header then says how far apart changes must be; what was written to find out is gone again."""
    run = f"r-{uuid.uuid4().hex[:8]}"
    recorder = Recorder(kube, tmp_path / "t", run=run, ordered=False, kinds=("Node",), on_error=pytest.fail)
    recorder.start(SECONDS)
    recorder.stop()
    (header,) = read(tmp_path / "t")
    assert header == Header(run=run, ordered=False, lag=recorder.lag)
    assert 0 < recorder.lag < SECONDS
    assert kube.list("Event", "default", labelSelector=f"{RUN_LABEL}={run}")["items"] == []


def test_an_api_that_is_not_served_is_left_out(kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another implementation may lack a kind; the others are recorded, and the fence does not ask for it."""
    monkeypatch.setitem(KINDS, "Absent", Kind("Absent", "absent.example.com", "v1", "absents", True))
    recorder = Recorder(kube, tmp_path / "t", run="r", ordered=True, kinds=("Node", "Absent"), on_error=pytest.fail)
    recorder.start(SECONDS)
    assert (recorder.kinds, recorder.left_out) == (["Node"], ["Absent"])
    assert fence(kube, recorder, recorder.follow("nobody"), "nobody", "s", "told", SECONDS, alive).revision > 0
    recorder.stop()


def test_a_missing_right_is_one_sentence(local_cluster: Cluster, kube: Kube, tmp_path: Path) -> None:
    """A user who may not list a kind is told which one, and what to grant."""
    name = f"weak-{uuid.uuid4().hex[:8]}"
    path = KINDS["ServiceAccount"].path("default", name)
    kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = kube.request("POST", f"{path}/token", request)["status"]["token"]
    config = yaml.safe_load(local_cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    weak = Kube(tmp_path / "kubeconfig", "weak")
    recorder = Recorder(weak, tmp_path / "t", run="r", ordered=True, kinds=("StatefulSet",), on_error=pytest.fail)
    with pytest.raises(HarnessError, match=r"may not list and watch statefulsets in API group apps .* grant the verbs"):
        recorder.start(SECONDS)
    kube.delete("ServiceAccount", name, "default")


def test_a_server_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    """Without an API server the start fails at its deadline, with the kinds, the reason, and no thread left."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    before = set(threading.enumerate())
    kube = Kube(tmp_path / "kubeconfig", "nowhere")
    recorder = Recorder(kube, tmp_path / "t", run="r", ordered=True, kinds=("Pod", "Node"), on_error=pytest.fail)
    with pytest.raises(HarnessError, match=r"could not list and watch Pod, Node within 0\.5 s \(.*does not answer"):
        recorder.start(0.5)
    assert set(threading.enumerate()) <= before
