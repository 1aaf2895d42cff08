"""The configuration with which Kueue is run, and what of its manifests is changed to run it as a process."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.clusters.controllers import Controller, Installation, as_configured, merged, process_settings
from conformance.clusters.webhook_certificates import WebhookCertificate
from conformance.components.lines import Note, note
from conformance.errors import UsageError
from conformance.implementations import deviations, open_implementation
from conformance.implementations.kueue import configuration, read_config
from conformance.kube import Object

STOCK = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "clientConnection": {"qps": 300, "burst": 500},
    "integrations": {"frameworks": ["batch/job", "pod"]},
}
CERTIFICATE = WebhookCertificate({"ca.crt": b"CA", "ca.key": b"CAKEY", "tls.crt": b"CRT", "tls.key": b"KEY"})


def test_the_user_has_the_last_word() -> None:
    """What the user's file says replaces stock values and ours, key by key, and leaves their neighbours."""
    user = {"clientConnection": {"qps": 20}, "featureGates": {"VisibilityOnDemand": True, "Other": False}}
    made = configuration(STOCK, Note(), user)
    assert made["clientConnection"] == {"qps": 20, "burst": 500}
    assert made["featureGates"] == {"VisibilityOnDemand": True, "Other": False}


def test_a_list_is_replaced_and_not_merged() -> None:
    """A list in the user's file is the whole list."""
    made = configuration(STOCK, Note(), {"integrations": {"frameworks": ["pod"]}})
    assert made["integrations"]["frameworks"] == ["pod"]


def test_what_a_version_lacks_is_added_once() -> None:
    """The integrations that a version does not enable come after its own, without doubles."""
    made = configuration(STOCK, note("0.15.0"), {})
    lws = "leaderworkerset.x-k8s.io/leaderworkerset"
    assert made["integrations"]["frameworks"] == ["batch/job", "pod", "statefulset", lws]


def test_merging_changes_neither_side() -> None:
    """Merging makes a new mapping, also where it goes deep."""
    over = {"integrations": {"frameworks": ["x"]}}
    made = merged(STOCK, over)
    made["integrations"]["frameworks"].append("y")
    assert over == {"integrations": {"frameworks": ["x"]}}
    assert STOCK["integrations"] == {"frameworks": ["batch/job", "pod"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n- b\n", "must be a mapping of configuration keys, not a list"),
        ("", "must be a mapping of configuration keys, not a NoneType"),
        ("a: [", "cannot read the Kueue configuration"),
        (None, "cannot read the Kueue configuration"),
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, content: str | None, says: str) -> None:
    """A file that is missing, is no YAML or is no mapping is a usage error of one line that names it."""
    path = tmp_path / "kueue.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=says) as error:
        read_config(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_implementation_names_the_nearest() -> None:
    """A misspelt implementation is answered with the right one."""
    with pytest.raises(UsageError, match="Did you mean 'kueue'"):
        open_implementation("keue")


def manifest(tmp_path: Path, *documents: Object) -> Path:
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def rendered() -> list[Object]:
    """The parts of an upstream manifest that matter, small."""
    service = {"name": "kueue-webhook-service", "namespace": "kueue-system", "path": "/x"}
    container = {"args": ["--config=/controller_manager_config.yaml", "--zap-log-level=2"]}
    volumes = [{"name": "cert", "secret": {"secretName": "kueue-webhook-server-cert"}}]
    pod = {"serviceAccountName": "kueue-controller-manager", "containers": [container], "volumes": volumes}
    here = {"namespace": "kueue-system"}
    return [
        {"kind": "Deployment", "metadata": {"name": "d", **here}, "spec": {"template": {"spec": pod}}},
        {"kind": "APIService", "metadata": {"name": "v1.visibility"}},
        {"kind": "Secret", "metadata": {"name": "kueue-webhook-server-cert", **here}},
        {"kind": "Service", "metadata": {"name": "kueue-webhook-service", **here}, "spec": {"ports": [{"port": 443}]}},
        {"kind": "Service", "metadata": {"name": "metrics", **here}, "spec": {"ports": [{"port": 8443}]}},
        {
            "kind": "ConfigMap",
            "metadata": {"name": "c", **here},
            "data": {"controller_manager_config.yaml": yaml.safe_dump(STOCK)},
        },
        {
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "m"},
            "webhooks": [{"name": "a", "failurePolicy": "Fail", "clientConfig": {"service": dict(service)}}],
        },
        {
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "workloads.kueue.x-k8s.io"},
            "spec": {
                "group": "kueue.x-k8s.io",
                "names": {"plural": "workloads"},
                "versions": [{"name": "v1beta1", "served": True}, {"name": "v1alpha1", "served": False}],
                "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": dict(service)}}},
            },
        },
    ]


def adapted(tmp_path: Path) -> dict[str, Any]:
    installation = Installation(Controller("kueue", Path("kueue"), manifest(tmp_path, *rendered())))
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in installation.objects(4711, CERTIFICATE)}


def test_a_process_has_no_deployment_and_no_api_service(tmp_path: Path) -> None:
    """Neither a Deployment nor an APIService is applied; all else is."""
    left = [f"{d['kind']}/{d['metadata']['name']}" for d in rendered() if d["kind"] not in ("Deployment", "APIService")]
    assert list(adapted(tmp_path)) == left


def test_webhooks_are_found_on_localhost(tmp_path: Path) -> None:
    """The webhook Service points to localhost, and every reference to it, conversion too, has the real port."""
    objects = adapted(tmp_path)
    assert objects["Service/kueue-webhook-service"]["spec"] == {"type": "ExternalName", "externalName": "localhost"}
    conversion = objects["CustomResourceDefinition/workloads.kueue.x-k8s.io"]["spec"]["conversion"]["webhook"]
    for config in (
        objects["MutatingWebhookConfiguration/m"]["webhooks"][0]["clientConfig"],
        conversion["clientConfig"],
    ):
        assert config["service"]["port"] == 4711
        assert config["service"]["path"] == "/x"
        assert config["caBundle"] == CERTIFICATE.ca_bundle


def test_nothing_else_of_a_manifest_is_changed(tmp_path: Path) -> None:
    """Other Services, and everything in a webhook but its client configuration, are applied as upstream ships them."""
    objects = adapted(tmp_path)
    assert objects["Service/metrics"]["spec"] == {"ports": [{"port": 8443}]}
    assert objects["MutatingWebhookConfiguration/m"]["webhooks"][0]["failurePolicy"] == "Fail"
    assert objects["Secret/kueue-webhook-server-cert"]["data"] == CERTIFICATE.secret_data()


def test_identity_arguments_and_resources_come_from_the_manifest(tmp_path: Path) -> None:
    """Who the controller is, how it is called and what it serves is read from its own manifest."""
    installation = Installation(Controller("kueue", Path("kueue"), manifest(tmp_path, *rendered())))
    assert installation.identity.user == "system:serviceaccount:kueue-system:kueue-controller-manager"
    assert installation.arguments == ["--zap-log-level=2"]
    assert installation.webhook_dns_name == "kueue-webhook-service.kueue-system.svc"
    assert installation.config == STOCK
    assert installation.resources == [("/apis/kueue.x-k8s.io/v1beta1", "workloads")]


def test_a_manifest_without_a_controller_is_refused(tmp_path: Path) -> None:
    """A file that is no rendered installation is a usage error that names it."""
    path = manifest(tmp_path, {"kind": "Namespace", "metadata": {"name": "n"}})
    with pytest.raises(UsageError, match=str(path)):
        Installation(Controller("kueue", Path("kueue"), path))


def test_a_process_listens_on_this_machine_only() -> None:
    """Whatever the configuration says, webhooks and health are served on 127.0.0.1 alone, and there is no election."""
    made = merged({"webhook": {"host": "0.0.0.0"}}, process_settings(4711, 4712, Path("/certificates")))
    assert made["webhook"] == {"host": "127.0.0.1", "port": 4711, "certDir": "/certificates"}
    assert made["health"]["healthProbeBindAddress"] == "127.0.0.1:4712"
    assert made["leaderElection"]["leaderElect"] is False


def test_a_report_has_the_configuration_without_this_process_own_settings() -> None:
    """Ports and folders, other in every run, are left out; what was configured beside them stays."""
    asked = {"webhook": {"timeout": 5}, "manageJobsWithoutQueueName": True}
    made = merged(asked, process_settings(4711, 4712, Path("/certificates")))
    assert as_configured(made) == asked


DEVIATION = """
- {implementation: kueue, versions: ["0.19.2"], requirement: UP-02, issue: "https://github.com/x/y/issues/1",
   expires: 2027-01-31, kind: sometimes}
"""


@pytest.mark.parametrize(
    ("implementation", "version", "name", "found"),
    [
        ("kueue", "0.19.2", "UP-02", True),
        ("installed", "0.19.2", "UP-02", True),
        ("kueue", "0.19.1", "UP-02", False),
        ("kueue", "0.19.2", "UP-01", False),
        ("reference", "0.19.2", "UP-02", False),
        ("installed", "", "UP-02", False),
    ],
)
def test_a_deviation_covers_what_it_names(
    tmp_path: Path, implementation: str, version: str, name: str, found: bool
) -> None:
    """A deviation is listed for its requirement in its versions of its implementation, and for nothing else."""
    path = tmp_path / "deviations.yaml"
    path.write_text(DEVIATION)
    listed = deviations.listed(implementation, version, name, path)
    assert (listed is not None) is found
    if listed is not None:
        assert (listed.kind, listed.expires) == ("sometimes", datetime.date(2027, 1, 31))


@pytest.mark.parametrize(("story", "found"), [("a_story", True), ("another", False)])
def test_a_deviation_of_an_invariant_may_be_of_one_story(tmp_path: Path, story: str, found: bool) -> None:
    """A deviation of an invariant that names a story is listed for the invariant in that story, and nowhere else."""
    path = tmp_path / "deviations.yaml"
    path.write_text(DEVIATION.replace("requirement: UP-02", "invariant: I2, story: a_story"))
    assert (deviations.listed("kueue", "0.19.2", f"I2 in {story}", path) is not None) is found
    assert deviations.listed("kueue", "0.19.2", "I2", path) is None


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("sometimes", "often"),
        ("requirement: UP-02", "requirement: UP-02, story: a_story"),
        ("requirement: UP-02", "invariant: I1, requirement: UP-02"),
        ("https:", "see "),
        ("kind", "sort"),
    ],
)
def test_a_wrong_deviation_is_refused(tmp_path: Path, wrong: str, right: str) -> None:
    """A list with a wrong kind, with both or neither of requirement and invariant, with a story of a requirement,
    without a link, or with an unknown key is refused with its file's name."""
    path = tmp_path / "deviations.yaml"
    path.write_text(DEVIATION.replace(wrong, right))
    with pytest.raises(UsageError, match=str(path)):
        deviations.load(path)


def test_our_own_list_of_deviations_is_right() -> None:
    """The list that is shipped can be read."""
    assert deviations.load() is not None
