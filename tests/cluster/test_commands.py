"""The commands that need no cluster: lists, checks, versions, help. What they print is true in the main points."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from commands import Ended, Place, a_place

import conformance
from conformance.components import DEFAULT, Components
from conformance.requirements import load
from conformance.settings import OPTIONS
from conformance.suite import whole_suite

pytestmark = pytest.mark.cluster
COMMANDS = (
    (), ("run",), ("judge",), ("list",), ("doctor",), ("clean",), ("version",), ("cluster",), ("cluster", "up"),
    ("cluster", "status"), ("cluster", "down"), ("components",), ("components", "list"), ("components", "build"),
    ("components", "prune"),
)  # fmt: skip


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with a_place() as place:
        yield place


def well(place: Place, *arguments: str) -> Ended:
    """A command that must end with 0 and without a word of error, on a screen wide enough for its tables."""
    ended = place.start(*arguments, COLUMNS="1000").ended()
    assert ended.code == 0, str(ended)
    assert ended.errors == ""
    return ended


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(here: Place, command: tuple[str, ...]) -> None:
    """Every command explains itself."""
    assert " ".join(("Usage: kueue-lws-conformance", *command)) in well(here, *command, "--help").output


def test_help_of_run_has_every_option(here: Place) -> None:
    """`run --help` has every option of the table, and `list --help` too."""
    for command in ("run", "list"):
        shown = well(here, command, "--help").output
        missing = [option.name for option in OPTIONS if not re.search(rf"--{option.name}\b", shown)]
        assert missing == []


def test_list_requirements(here: Place) -> None:
    """`list` has a line for each requirement: what would happen to it, and how many claims it has."""
    lines = {line.split()[0]: line for line in well(here, "list", "--skip", "ADM-01=for a while").output.splitlines()}
    catalogue = load()
    assert set(lines) == {"id", *(record.id for record in catalogue)}
    judged = {id_ for id_, line in lines.items() if re.match(r"\S+ +\S+ +judged ", line)}
    page = {record.id for record in catalogue if record.claimed and "page" in record.profiles}
    assert judged == page - {"ADM-01"}
    assert "not-selected: skipped: for a while" in lines["ADM-01"]


def test_list_claims(here: Place) -> None:
    """`list claims` has every claim with its requirement and story, and says that only those asked for are judged."""
    shown = well(here, "list", "claims", "--story", "page_sample").output
    lines = shown.splitlines()[1:]
    claims = whole_suite().claims
    assert [(line.split()[0], line.split()[-2], line.split()[-1]) for line in lines] == [
        (claim.requirement, claim.id, claim.story.name) for claim in claims
    ]
    judged = {line.split()[-1] for line in lines if line.split()[1] == "judged"}
    assert judged == {"page_sample"}


def test_list_stories(here: Place) -> None:
    """`list stories` says of each story what happens in it, and for how many claims it would be told."""
    shown = well(here, "list", "stories", "--requirement", "QSEL-11").output
    for story in whole_suite().stories:
        assert story.sentence in shown
    (told,) = [line for line in shown.splitlines() if "told for" in line]
    assert told.startswith("two_queues ")
    assert " told for 1 claims " in told


def test_list_of_something_else(here: Place) -> None:
    """`list` of a word that there is no list of is a usage error."""
    ended = here.command("list", "storys")
    assert ended.code == 2, str(ended)
    assert ended.sentence().startswith("there is no list of 'storys'. Did you mean 'stories'?")


def test_doctor(here: Place) -> None:
    """`doctor` looks at what a run needs and says in a line each that it is there."""
    shown = well(here, "doctor").output.splitlines()
    assert {"python", "store", "go", "disk", "ports", "inotify"} <= {line.split()[1] for line in shown}
    assert {line.split()[0] for line in shown} == {"ok"}


def test_doctor_finds_what_is_missing(here: Place) -> None:
    """`doctor` ends with 2 where something is missing, and says what to do."""
    (here.root / "file").touch()
    ended = here.command("doctor", "--store", here.root / "file" / "store", "--kubeconfig", here.root / "none")
    assert ended.code == 2, str(ended)
    assert [line.split()[1] for line in ended.output.splitlines() if line.startswith("NO ")] == ["store", "kubeconfig"]
    assert "name another folder with --store" in ended.output


def test_version(here: Place) -> None:
    """`version` names the suite's version and the release line that it judges by default."""
    shown = well(here, "version").output
    assert conformance.__version__ in shown
    for version in (DEFAULT.kueue, DEFAULT.lws, DEFAULT.kubernetes):
        assert version in shown


def test_components(here: Place, components: Components) -> None:
    """`components list` shows every component of the default line as built, with its place on disk."""
    shown = well(here, "components", "list").output.splitlines()
    for name, entry in components.entries.items():
        assert [line for line in shown if name in line and entry.made.version in line and str(entry.path) in line]


def test_components_of_an_empty_store(here: Place) -> None:
    """`components list` shows nothing of an empty store as built, and does not make the store."""
    store = here.root / "empty"
    shown = well(here, "components", "list", "--store", str(store)).output
    assert "not built" in shown
    assert str(store) not in shown
    assert not store.exists()


def test_judge_of_no_results(here: Place) -> None:
    """`judge` of a folder without a run's log says what to name instead."""
    ended = here.command("judge", here.root)
    assert ended.code == 2, str(ended)
    assert ended.sentence().endswith("name a results folder of a run")


def test_clean_without_a_cluster(here: Place) -> None:
    """`clean` without a cluster that is up or named is a usage error."""
    ended = here.command("clean")
    assert ended.code == 2, str(ended)
    assert ended.sentence() == "no cluster is up to clean; name one with --kubeconfig FILE"
