"""The reference as an implementation: how it is chosen, what of Kueue it is put on, whose rights it has, its scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

import conformance
from conformance.clusters.pki import service_account
from conformance.components import DEFAULT, Components, provide
from conformance.components.building import CACHE_VARIABLE, find_go
from conformance.components.inventory import prune
from conformance.components.shelf import NO_GO, Shelf
from conformance.components.sources import wanted
from conformance.deadlines import Deadlines
from conformance.errors import UsageError
from conformance.implementations import FEATURES, IMPLEMENTATIONS, open_implementation, unbuilt
from conformance.implementations.reference import (
    ACCOUNT,
    FAULTY,
    NAMESPACE,
    access,
    command,
    own_version,
    probes,
    scoped,
)
from conformance.kube import Object
from conformance.names import RUN_LABEL, SCOPE_LABEL, STORY_LABEL, TENANT_LABEL
from conformance.report.auditing import COMPONENTS
from conformance.settings import BY_NAME, settle
from conformance.surroundings import Surroundings
from conformance.world.story import Story
from conformance.world.storylog import StoryLog
from conformance.world.tenant import Ground, Tenant
from tiny_components import GO_CACHES, PRINTS_A_PART, make_all, shelve, tiny

CLUSTER_WIDE: Final = ("ClusterRole", "ClusterRoleBinding")


@pytest.fixture
def components(tmp_path: Path) -> Components:
    """A store in which everything is, one byte each."""
    go = find_go()
    for source in wanted(DEFAULT).values():
        shelve(tmp_path, source, go=go.version if go else NO_GO)
    return provide(DEFAULT, store=tmp_path)


def surroundings(tmp_path: Path, **given: Any) -> Surroundings:
    chosen = {"implementation": "reference"} | {name.replace("_", "-"): value for name, value in given.items()}
    return Surroundings(settle(chosen, folder=tmp_path), Deadlines(), print)


# Choosing it


def test_every_implementation_can_be_chosen() -> None:
    """The choices of --implementation are the implementations that there are."""
    assert BY_NAME["implementation"].choices == IMPLEMENTATIONS


def test_it_is_this_suite(components: Components) -> None:
    """The reference has the suite's version and every feature, manages everything, and says whose CRDs it uses."""
    opened = open_implementation("reference", components=components)
    assert (opened.name, opened.version, opened.scope) == ("reference", conformance.__version__, "")
    assert opened.features == frozenset(FEATURES)
    assert opened.source == f"this suite, with the CRDs of module sigs.k8s.io/kueue v{DEFAULT.kueue}"


def test_it_needs_components() -> None:
    """Without components there are no CRDs to put on."""
    with pytest.raises(UsageError, match="needs its components"):
        open_implementation("reference")


def test_its_configuration_is_the_file_given(components: Components, tmp_path: Path) -> None:
    """The file of --kueue-config is its configuration."""
    file = tmp_path / "config.yaml"
    file.write_text("waitForPodsReady: {timeout: 5m}\n")
    opened = open_implementation("reference", components=components, config=file)
    assert opened.config == {"waitForPodsReady": {"timeout": "5m"}}


def test_a_configuration_it_does_not_know_is_refused(components: Components, tmp_path: Path) -> None:
    """A key of Kueue's configuration that the reference does not have is a usage error of one line, before a start."""
    file = tmp_path / "config.yaml"
    file.write_text("multiKueue: {gcInterval: 1m}\n")
    with pytest.raises(UsageError, match="multiKueue") as refused:
        open_implementation("reference", components=components, config=file)
    assert "\n" not in str(refused.value)


def test_it_is_judged_as_the_newest_kueue(tmp_path: Path) -> None:
    """The requirements are those of the newest Kueue, whatever release its CRDs are from; LWS is the chosen one."""
    here = surroundings(tmp_path, kueue_version="0.15.0", lws_version="0.7.0").here()
    assert (here.kueue, here.lws, here.features) == (DEFAULT.kueue, "0.7.0", frozenset(FEATURES))
    assert surroundings(tmp_path, implementation="kueue", kueue_version="0.15.0").here().kueue == "0.15.0"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cluster": "existing"}, "an existing cluster is judged as it is; add --implementation installed"),
        ({"reuse": True, "kueue_config": "f"}, "--kueue-config is for a cluster that the run starts itself"),
    ],
)
def test_it_is_put_on_a_cluster_of_its_own(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    """The reference is put on a new local cluster only."""
    with pytest.raises(UsageError, match=sentence):
        surroundings(tmp_path, **given)


# What of Kueue it needs


def crd(name: str, *versions: tuple[str, bool]) -> Object:
    """A CRD with versions and whether each is stored, converted by a webhook."""
    described = [{"name": version, "served": stored, "storage": stored, "schema": {}} for version, stored in versions]
    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "kueue-webhook-service"}}}}
    spec = {"group": "kueue.x-k8s.io", "names": {"plural": name}, "versions": described, "conversion": conversion}
    return {"kind": "CustomResourceDefinition", "metadata": {"name": f"{name}.kueue.x-k8s.io"}, "spec": spec}


def test_only_the_crds_are_taken() -> None:
    """Nothing of Kueue's manifests but its CRDs is put on a cluster."""
    others = [{"kind": kind, "metadata": {"name": "x"}} for kind in ("APIService", "Deployment", "Namespace")]
    assert [made["kind"] for made in own_version([*others, crd("workloads", ("v1beta2", True))])] == [
        "CustomResourceDefinition"
    ]


@pytest.mark.parametrize("stored", ["v1beta1", "v1beta2"])
def test_one_version_is_served_and_stored(stored: str) -> None:
    """Of each CRD v1beta2 alone is left, whichever is stored upstream, and nothing has to be converted."""
    rendered = crd("workloads", ("v1beta1", stored == "v1beta1"), ("v1beta2", stored == "v1beta2"))
    (made,) = own_version([rendered])
    assert made["spec"]["versions"] == [{"name": "v1beta2", "served": True, "storage": True, "schema": {}}]
    assert made["spec"]["conversion"] == {"strategy": "None"}
    assert rendered["spec"]["conversion"]["strategy"] == "Webhook"


def test_a_kind_without_the_version_is_left_out() -> None:
    """A CRD that has no v1beta2 is not put on."""
    assert list(own_version([crd("things", ("v1alpha1", True))])) == []


def test_kueue_is_not_built_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component of which only the manifests are needed is rendered and not compiled, and is an entry of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / GO_CACHES))
    modules, root = tmp_path / "modules", tmp_path / "store"
    kubectl = tiny(modules, "kubernetes", binary="kubectl", code=PRINTS_A_PART)
    kueue = tiny(modules, "kueue", code="does not compile", manifests={"kueue": ("config/default",)})
    entries, _ = make_all(root, kubectl, kueue.unbuilt())
    assert entries["kueue"].manifest("kueue").read_text() == "kind: default\n"
    assert entries["kueue"].names("bin") == []
    assert kueue.unbuilt().stem != kueue.stem
    assert unbuilt("reference") == ("kueue",)
    assert unbuilt("kueue") == ()


def test_manifests_are_taken_where_they_are(tmp_path: Path) -> None:
    """Where Kueue is built already its manifests are used, where they alone are there those, and both survive prune."""
    go = find_go()
    made_by = go.version if go else NO_GO
    sources = wanted(DEFAULT)
    bare = shelve(tmp_path, sources["kueue"].unbuilt(), go=made_by)
    for name in sources.keys() - {"kueue"}:
        shelve(tmp_path, sources[name], go=made_by)
    assert provide(DEFAULT, store=tmp_path, unbuilt=("kueue",)).entries["kueue"].path == bare.path
    whole = shelve(tmp_path, sources["kueue"], go=made_by)
    assert provide(DEFAULT, store=tmp_path, unbuilt=("kueue",)).entries["kueue"].path == whole.path
    prune(keep=DEFAULT, store=tmp_path)
    assert {bare.path, whole.path} <= {entry.path for entry in Shelf(tmp_path).entries()}


# Who it is, and its scope


def by_kind(scope: str) -> dict[str, Object]:
    return {made["kind"]: made for made in access(scope)}


@pytest.mark.parametrize("scope", ["", "a"])
def test_its_account_has_its_rights(scope: str) -> None:
    """The ServiceAccount is bound to both roles, in the namespace of the scope, and is the one that it runs as."""
    made = by_kind(scope)
    account = made["ServiceAccount"]["metadata"]
    assert (account["namespace"], account["name"]) == (scoped(NAMESPACE, scope), scoped(ACCOUNT, scope))
    assert made["Namespace"]["metadata"]["name"] == account["namespace"]
    for binding, role in (("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")):
        assert made[binding]["roleRef"]["name"] == made[role]["metadata"]["name"]
        assert made[binding]["subjects"] == [{"kind": "ServiceAccount", **account}]


def test_two_scopes_share_no_object() -> None:
    """What is applied for one scope has no name in common with what is applied for another or for none."""
    scopes = ("", "a", "b")
    named = [{f"{made['kind']}/{made['metadata']['name']}" for made in access(scope)} for scope in scopes]
    assert sum(map(len, named)) == len(set[str]().union(*named))


def test_no_right_is_a_wildcard() -> None:
    """Each right names its group, resource and verb; only its own webhook configurations may be changed."""
    rules = by_kind("a")["ClusterRole"]["rules"] + by_kind("a")["Role"]["rules"]
    assert not [rule for rule in rules if "*" in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])]
    of_webhooks = [rule for rule in rules if rule["apiGroups"] == ["admissionregistration.k8s.io"]]
    changing = [rule for rule in of_webhooks if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in changing] == [["zz-queueing-a"]]


def test_only_a_faulty_one_may_write_the_status_of_pods() -> None:
    """A faulty reference has one right more than the manifest gives, by which it may report pods wrongly."""
    rules, more = (
        next(made["rules"] for made in access("a", fault) if made["kind"] == "ClusterRole")
        for fault in ("", "gated-pods-called-unschedulable")
    )
    assert [rule for rule in more if rule not in rules] == [FAULTY]
    assert not [rule for rule in rules if "pods/status" in rule["resources"]]


def test_the_namespace_of_a_scope_is_in_it() -> None:
    """The namespace of a scope carries its label, and the probes of its webhooks go there."""
    assert by_kind("a")["Namespace"]["metadata"]["labels"] == {SCOPE_LABEL: "a"}
    assert "labels" not in by_kind("")["Namespace"]["metadata"]
    assert {probe["metadata"]["namespace"] for probe in probes("queueing-system-a")} == {"queueing-system-a"}


def test_its_command_names_its_scope() -> None:
    """The process is told its scope where it has one, and never elects a leader."""
    with_scope, without = (command(Path("k"), Path("c"), 1, 2, scope) for scope in ("a", ""))
    assert [part for part in with_scope if part not in without] == ["--scope=a"]
    assert "--no-leader-elect" in without


def test_the_audit_log_knows_it() -> None:
    """What the reference writes is counted as a component of its own."""
    assert COMPONENTS[service_account(NAMESPACE, ACCOUNT).user] == "reference"


class _NoFeed:
    """A recorder that is only followed."""

    def follow(self, tenant: str) -> None:
        return None


@pytest.mark.parametrize("scope", ["", "a"])
def test_tenants_are_labelled_for_the_scope(scope: str, tmp_path: Path) -> None:
    """Everything of a tenant carries the label of the scope that is judged, and none where there is no scope."""
    stand_ins: dict[str, Any] = {"kube": None, "recorder": _NoFeed(), "alive": lambda: None}
    ground = Ground(
        deadlines=Deadlines(), run="r", canary_class="c", capabilities=frozenset(), scope=scope, **stand_ins
    )
    story = Story("s", "A story.", {}, lambda tenant: None, "m", frozenset())
    log = StoryLog(tmp_path / "log", manifests=False)
    tenant = Tenant(ground, story, "t", log)
    log.close()
    expected = {RUN_LABEL: "r", STORY_LABEL: "s", TENANT_LABEL: "t"} | ({SCOPE_LABEL: scope} if scope else {})
    assert tenant.labels == expected
