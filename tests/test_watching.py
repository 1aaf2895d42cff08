"""The list+watch state machine tells every change once, and says where it may have missed some."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.names import KINDS
from conformance.watching import AskList, AskWatch, Item, Missed, Seen, Watching, item_of


def item(name: str, revision: int, uid: str | None = None) -> Item[str]:
    return Item("ns", name, uid or f"uid-{name}", revision, f"{name}@{revision}")


def watching(*items: Item[str], revision: int = 10) -> Watching[str]:
    """A machine that has listed these items at a revision."""
    machine: Watching[str] = Watching()
    machine.listed(items, revision)
    return machine


def asked(machine: Watching[str]) -> AskList | AskWatch:
    return machine.next


def short(told: list[Seen[str]] | list[Seen[str] | Missed]) -> list[str]:
    """Changes as `TYPE name@revision`, with `?` for an implied one; gaps as `after..until`."""
    return [
        f"{t.after}..{t.until}"
        if isinstance(t, Missed)
        else f"{t.type} {t.item.name}@{t.item.revision}{'?' * t.implied}"
        for t in told
    ]


def test_first_step_is_a_list_and_the_next_a_watch_from_its_revision() -> None:
    """A list comes first; the watch continues exactly where the list was taken."""
    machine: Watching[str] = Watching()
    assert asked(machine) == AskList("")
    assert short(machine.listed([item("b", 7), item("a", 5)], 10)) == ["ADDED a@5", "ADDED b@7"]
    assert asked(machine) == AskWatch(10)


def test_pages_are_one_list() -> None:
    """Nothing is told before the last page, since only the whole list proves what is gone."""
    machine: Watching[str] = Watching()
    assert machine.listed([item("a", 5)], 10, more="token") == []
    assert asked(machine) == AskList("token")
    assert short(machine.listed([item("b", 7)], 10)) == ["ADDED a@5", "ADDED b@7"]


@pytest.mark.parametrize("status", [410, 500, None])
def test_a_broken_list_starts_over(status: int | None) -> None:
    """Pages of different revisions are never mixed: after any failure the list begins again."""
    machine: Watching[str] = Watching()
    machine.listed([item("a", 5)], 10, more="token")
    machine.failed(status)
    assert asked(machine) == AskList("")
    assert short(machine.listed([item("b", 12)], 12)) == ["ADDED b@12"]


EVENTS = [
    ("a new object", [("ADDED", item("b", 11))], ["ADDED b@11"]),
    ("a change", [("MODIFIED", item("a", 11))], ["MODIFIED a@11"]),
    ("a deletion", [("DELETED", item("a", 11))], ["DELETED a@11"]),
    ("a change of an unknown object is its addition", [("MODIFIED", item("b", 11))], ["ADDED b@11"]),
    ("an addition of a known object is its change", [("ADDED", item("a", 11))], ["MODIFIED a@11"]),
    ("a replayed addition", [("ADDED", item("a", 5))], []),
    ("a replayed change", [("MODIFIED", item("a", 11)), ("MODIFIED", item("a", 11))], ["MODIFIED a@11"]),
    ("a replayed deletion", [("DELETED", item("a", 11)), ("DELETED", item("a", 11))], ["DELETED a@11"]),
    (
        "a change replayed after the deletion",
        [("DELETED", item("a", 12)), ("MODIFIED", item("a", 11))],
        ["DELETED a@12"],
    ),
    ("a deletion of something never seen", [("DELETED", item("b", 11))], []),
    ("a deletion of an earlier namesake", [("DELETED", item("a", 11, "older"))], []),
    (
        "two deletions at one revision (an expired lease)",
        [("ADDED", item("b", 11)), ("DELETED", item("a", 12)), ("DELETED", item("b", 12))],
        ["ADDED b@11", "DELETED a@12", "DELETED b@12"],
    ),
    (
        "a namesake whose predecessor's deletion was lost",
        [("ADDED", item("a", 15, "new"))],
        ["DELETED a@14?", "ADDED a@15"],
    ),
    (
        "a namesake after a deletion",
        [("DELETED", item("a", 11)), ("ADDED", item("a", 12, "new"))],
        ["DELETED a@11", "ADDED a@12"],
    ),
]


@pytest.mark.parametrize(("events", "expected"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
def test_events(events: list[tuple[str, Item[str]]], expected: list[str]) -> None:
    """What each event means for one who has listed object `a` at revision 5 in a list of revision 10."""
    machine = watching(item("a", 5))
    assert [line for type_, told in events for line in short(machine.told(type_, told.revision, told))] == expected


def test_an_ended_stream_is_resumed_without_a_gap() -> None:
    """A stream that ends costs nothing: the next one continues after the last revision seen, be it an event's, ..."""
    machine = watching(item("a", 5))
    machine.told("MODIFIED", 14, item("a", 14))
    machine.ended(300.0)
    assert asked(machine) == AskWatch(14)
    assert machine.delay(0.5) == 0


@pytest.mark.parametrize("type_", ["BOOKMARK", "ADDED", "DELETED"])
def test_bookmarks_and_foreign_objects_move_the_revision_on(type_: str) -> None:
    """... a bookmark's, or that of an object which is passed over."""
    machine = watching()
    assert machine.told(type_, 99) == []
    machine.ended(1.0)
    assert asked(machine) == AskWatch(99)


def test_gone_lists_again_and_tells_only_the_difference() -> None:
    """After 410 the new list is compared: real changes, implied deletions, and the mark of what may be missing."""
    machine = watching(item("same", 5), item("changed", 6), item("deleted", 7), item("reborn", 8))
    machine.told("BOOKMARK", 20)
    machine.failed(410)
    assert asked(machine) == AskList("")
    told = machine.listed([item("same", 5), item("changed", 25), item("reborn", 28, "new"), item("born", 27)], 30)
    assert short(told) == [
        "20..30",
        "DELETED deleted@30?",
        "MODIFIED changed@25",
        "ADDED born@27",
        "DELETED reborn@27?",
        "ADDED reborn@28",
    ]
    assert asked(machine) == AskWatch(30)


def test_an_implied_deletion_carries_the_last_known_state() -> None:
    """Nobody saw the object go, so its last state is what was known of it, and so is its UID."""
    machine = watching(item("a", 5))
    machine.failed(410)
    (_, gone) = machine.listed([], 30)
    assert isinstance(gone, Seen)
    assert (gone.item.object, gone.item.uid, gone.implied) == ("a@5", "uid-a", True)


def test_other_failures_try_the_same_watch_again() -> None:
    """A server that is down is no reason to list again: the revision may still be there when it is back."""
    machine = watching()
    for status in (None, 500, 429, 403):
        machine.failed(status)
        assert asked(machine) == AskWatch(10)


def test_delays_grow_to_a_limit_and_end_with_the_first_sign_of_life() -> None:
    """Trouble is met with growing delays, spread by the caller's jitter; one event ends them."""
    machine = watching()
    delays = []
    for _ in range(20):
        machine.failed(None)
        delays.append(machine.delay(1.0))
        assert machine.delay(0.0) == delays[-1] / 2
    assert delays == sorted(delays)
    assert delays[0] < delays[3] < delays[-1] == delays[-2] <= 5.0
    machine.told("BOOKMARK", 11)
    assert machine.delay(1.0) == 0


def test_streams_that_end_at_once_without_a_word_are_not_asked_in_a_busy_loop() -> None:
    """A short silent stream counts as trouble, a long silent or a short telling one does not."""
    machine = watching()
    machine.ended(0.01)
    assert machine.delay(0.0) > 0
    machine.ended(60.0)
    assert machine.delay(0.0) == 0
    machine.told("BOOKMARK", 11)
    machine.ended(0.01)
    assert machine.delay(0.0) == 0


def test_items_are_completed_and_stripped() -> None:
    """List items get the kind and apiVersion that the server leaves out; managedFields go."""
    meta = {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "12", "managedFields": [{}]}
    found = item_of({"metadata": meta}, KINDS["StatefulSet"])
    assert (found.namespace, found.name, found.uid, found.revision) == ("ns", "p", "u", 12)
    assert found.object["kind"] == "StatefulSet"
    assert found.object["apiVersion"] == "apps/v1"
    assert "managedFields" not in found.object["metadata"]


def test_cluster_scoped_items_have_no_namespace() -> None:
    """The namespace of a cluster-scoped object is the empty string, as in a key of the trace."""
    found = item_of({"metadata": {"name": "n", "uid": "u", "resourceVersion": "3"}}, KINDS["Node"])
    assert found.namespace == ""


@dataclass
class Server:
    """An API server's view of one kind: a log of changes, of which a compaction forgets the oldest."""

    revision: int = 1
    compacted: int = 0
    objects: dict[str, Item[str]] = field(default_factory=dict)
    log: list[tuple[str, Item[str]]] = field(default_factory=list)

    def put(self, name: str) -> None:
        self.revision += 1
        known = self.objects.get(name)
        uid = known.uid if known else f"{name}-{self.revision}"
        self.objects[name] = item(name, self.revision, uid)
        self.log.append(("MODIFIED" if known else "ADDED", self.objects[name]))

    def delete(self, name: str) -> None:
        if name in self.objects:
            self.revision += 1
            uid = self.objects.pop(name).uid
            self.log.append(("DELETED", item(name, self.revision, uid)))

    def after(self, revision: int) -> list[tuple[str, Item[str]]]:
        return [entry for entry in self.log if entry[1].revision > revision]


@dataclass
class Client:
    """Drives a machine against the server, one step at a time, as the recorder does."""

    server: Server
    machine: Watching[str] = field(default_factory=Watching)
    told: list[Seen[str]] = field(default_factory=list)
    gaps: list[Missed] = field(default_factory=list)
    stream: int | None = None  # up to which revision the open stream has told; None: no stream is open
    pages: list[Item[str]] | None = None
    list_revision: int = 0

    def step(self, page: int, replay: int) -> None:
        """Fetch a page of a list, open a stream, or take one event from it (`replay` older ones come again first)."""
        asked = self.machine.next
        if isinstance(asked, AskList):
            self._list(asked, page)
        elif self.stream is None:
            if asked.revision < self.server.compacted:
                self.machine.failed(410)
            else:
                self.stream = max(0, asked.revision - replay)
        else:
            for type_, seen in self.server.after(self.stream)[:1]:
                self.stream = seen.revision
                self.keep(self.machine.told(type_, seen.revision, seen))

    def _list(self, asked: AskList, page: int) -> None:
        if not asked.continued:
            self.pages, self.list_revision = list(self.server.objects.values()), self.server.revision
        elif self.list_revision < self.server.compacted:
            self.machine.failed(410)
            return
        assert self.pages is not None
        now, self.pages = self.pages[:page], self.pages[page:]
        self.keep(self.machine.listed(now, self.list_revision, "more" if self.pages else ""))

    def keep(self, told: list[Seen[str]] | list[Seen[str] | Missed]) -> None:
        for entry in told:
            if isinstance(entry, Missed):
                self.gaps.append(entry)
            else:
                self.told.append(entry)

    def act(self, action: tuple[str, int]) -> None:
        what, number = action
        match what:
            case "put":
                self.server.put("abc"[number % 3])
            case "delete":
                self.server.delete("abc"[number % 3])
            case "step":
                self.step(page=1 + number % 2, replay=number)
            case "bookmark" if self.stream is not None and not self.server.after(self.stream):
                self.machine.told("BOOKMARK", self.server.revision)
            case "end" if self.stream is not None:
                self.stream = None
                self.machine.ended(float(number))
            case "fail":
                self.stream = None
                self.machine.failed(None if number % 2 else 500)
            case "expire" if self.stream is not None:
                self.stream = None
                self.machine.failed(410)
            case "compact":
                self.server.compacted = self.server.revision

    def settle(self) -> None:
        """Go on undisturbed until everything is told."""
        while isinstance(self.machine.next, AskList) or self.stream is None or self.server.after(self.stream):
            self.step(page=2, replay=0)


ACTIONS = st.tuples(
    st.sampled_from(["put", "put", "delete", "step", "step", "step", "bookmark", "end", "fail", "expire", "compact"]),
    st.integers(0, 5),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, max_size=60))
def test_any_interleaving_ends_in_the_servers_true_history(actions: list[tuple[str, int]]) -> None:
    """Whatever the server and the network do: no change twice, none invented, none missing outside a marked gap."""
    server = Server()
    server.put("a")
    client = Client(server)
    first_list: int | None = None
    for action in actions:
        client.act(action)
        if first_list is None and isinstance(client.machine.next, AskWatch):
            first_list = client.list_revision
    client.settle()
    first_list = client.list_revision if first_list is None else first_list

    present: dict[str, Item[str]] = {}
    for seen in client.told:  # what is told makes sense in the order in which it is told
        known = present.get(seen.item.name)
        if seen.type == "ADDED":
            assert known is None
        else:
            assert known is not None
            assert known.uid == seen.item.uid
            assert known.revision < seen.item.revision
        if seen.type == "DELETED":
            del present[seen.item.name]
        else:
            present[seen.item.name] = seen.item
    assert present == server.objects

    true = {(type_ == "DELETED", i.uid, i.revision) for type_, i in server.log}
    real = [(seen.type == "DELETED", seen.item.uid, seen.item.revision) for seen in client.told if not seen.implied]
    assert len(real) == len(set(real))
    assert set(real) <= true
    for _, uid, revision in true - set(real):
        in_gap = any(gap.after < revision <= gap.until for gap in client.gaps)
        assert in_gap or revision <= first_list, (uid, revision)
    deaths = {i.uid: i.revision for type_, i in server.log if type_ == "DELETED"}
    for seen in client.told:
        if seen.implied:  # at or before the revision it carries, and inside a gap
            assert deaths[seen.item.uid] <= seen.item.revision
            assert any(gap.after < deaths[seen.item.uid] <= gap.until for gap in client.gaps)
