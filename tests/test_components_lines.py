"""Release lines: every version that can be chosen is pinned, and a version that cannot is answered helpfully."""

from __future__ import annotations

import re

import pytest

from conformance.components import DEFAULT, choose, note
from conformance.components.lines import KUEUE, LWS
from conformance.components.recipes import RECIPES
from conformance.components.sources import MODULES, Pinned, wanted
from conformance.errors import UsageError

PINNED = sorted(
    {(component, version) for kueue in KUEUE for component, version in choose(kueue).versions().items()}
    | {("lws", version) for version in LWS}
)


def test_nothing_asked_is_the_default_line() -> None:
    """Without a choice the newest listed versions are taken."""
    assert choose() == DEFAULT
    assert (DEFAULT.kueue, DEFAULT.lws) == (KUEUE[0], LWS[0])


def test_a_choice_changes_only_what_it_names() -> None:
    """A version may be written with or without its `v`, and leaves the other components as they are."""
    line = choose(kueue="v0.15.0", lws="0.7.0")
    assert line.versions() == DEFAULT.versions() | {"kueue": "0.15.0", "lws": "0.7.0"}


@pytest.mark.parametrize(
    ("kueue", "lws", "wrong", "right", "option"),
    [("0.19.4", None, "0.19.4", "0.19.2", "--kueue-from"), (None, "v0.9.1", "v0.9.1", "0.9.0", "--lws-from")],
)
def test_an_unknown_version_names_the_known_and_the_nearest(
    kueue: str | None, lws: str | None, wrong: str, right: str, option: str
) -> None:
    """An unknown version is refused with the versions there are, the nearest of them, and the option for any other."""
    with pytest.raises(UsageError) as refused:
        choose(kueue, lws)
    said = str(refused.value)
    assert wrong in said
    assert f"Did you mean {right!r}?" in said
    assert option in said
    assert all(version in said for version in (KUEUE if kueue else LWS))


@pytest.mark.parametrize(("component", "version"), PINNED)
def test_every_version_is_pinned(component: str, version: str) -> None:
    """Each version's module requires exactly that version, lists the commands built from it, and has sums for it."""
    recipe, folder = RECIPES[component], Pinned(RECIPES[component], version).folder
    declared, sums = (folder / "go.mod").read_text(), (folder / "go.sum").read_text()
    assert f"{recipe.module} v{version}" in re.sub(r"^require ", "", declared, flags=re.MULTILINE)
    assert all(package in declared for package in recipe.packages.values())
    assert f"{recipe.module} v{version} h1:" in sums


def test_no_module_is_left_over() -> None:
    """Every folder of `modules/` belongs to a version that can be chosen."""
    assert {folder.name for folder in MODULES.iterdir()} == {f"{name}-{version}" for name, version in PINNED}


def test_staged_modules_are_those_of_the_same_kubernetes() -> None:
    """Each Kubernetes staging module is replaced by its release that belongs to this Kubernetes."""
    declared = (MODULES / f"kubernetes-{DEFAULT.kubernetes}" / "go.mod").read_text()
    replaced = re.findall(r"^\s+(k8s\.io/[\w-]+) => (\S+) v(\S+)$", declared, re.MULTILINE)
    assert len(replaced) > 30
    assert all(old == new and "1" + version[1:] == DEFAULT.kubernetes for old, new, version in replaced)


def test_what_a_stock_configuration_lacks_is_noted() -> None:
    """Kueue 0.15.0 has to be told to queue LeaderWorkerSets; later versions do so as they are shipped."""
    assert "leaderworkerset.x-k8s.io/leaderworkerset" in note("v0.15.0").frameworks
    assert not any(note(version).frameworks for version in KUEUE if version != "0.15.0")


def test_binaries_know_their_version() -> None:
    """The version is stamped into a binary by its flags, so that another version is another build."""
    flags = {version: RECIPES["kueue"].flags(version) for version in KUEUE}
    assert len(set(flags.values())) == len(KUEUE)
    assert "version.GitVersion=v0.18.4" in flags["0.18.4"][-1]
    assert "version.gitMinor=36" in RECIPES["kubernetes"].flags("1.36.3")[-1]


def test_kubectl_comes_before_what_it_renders() -> None:
    """Components are built in an order in which kubectl is there before the first manifest is rendered."""
    order = [source.recipe for source in wanted(DEFAULT).values()]
    first_with_kubectl = next(index for index, recipe in enumerate(order) if "kubectl" in recipe.packages)
    assert all(index > first_with_kubectl for index, recipe in enumerate(order) if recipe.manifests)
