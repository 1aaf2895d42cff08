"""The reference's configuration file: keys of Kueue's Configuration, and nothing that would silently do nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import UsageError
from conformance.reference.edges.settings import read_rules, rules
from conformance.reference.model import Match, PodsReadyRules, Rules, Selector


def test_no_file_means_kueues_defaults() -> None:
    """Without a file, or with an empty one, the rules are those of a Kueue without configuration."""
    assert read_rules(None) == rules({}) == Rules()


def test_every_key_reaches_its_rule() -> None:
    """Each key of the file changes exactly the rule that it names."""
    made = rules(
        {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "waitForPodsReady": {
                "timeout": "1h30m",
                "recoveryTimeout": "500ms",
                "blockAdmission": True,
                "requeuingStrategy": {
                    "timestamp": "Creation",
                    "backoffBaseSeconds": 1,
                    "backoffLimitCount": 0,
                    "backoffMaxSeconds": 7,
                },
            },
            "manageJobsWithoutQueueName": True,
            "managedJobsNamespaceSelector": {
                "matchLabels": {"team": "a"},
                "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b", "c"]}],
            },
            "resources": {"excludeResourcePrefixes": ["example.com/"]},
        }
    )
    ready = PodsReadyRules(
        timeout=5400.0,
        recovery_timeout=0.5,
        block_admission=True,
        by_eviction_time=False,
        backoff_base=1.0,
        backoff_max=7.0,
        backoff_limit=0,
    )
    selector = Selector((Match("team", "In", ("a",)), Match("zone", "NotIn", ("b", "c"))))
    assert made == Rules(ready, True, selector, ("example.com/",))


@pytest.mark.parametrize(
    ("written", "timeout", "recovery"),
    [
        ({"timeout": "3m"}, 180.0, 180.0),
        ({"timeout": "3m", "recoveryTimeout": "0s"}, 180.0, None),
        ({"timeout": "0s"}, 1800.0, 1800.0),
        ({"timeout": "1.5h", "recoveryTimeout": "10s"}, 5400.0, 10.0),
    ],
)
def test_the_recovery_timeout_follows_the_timeout(
    written: dict[str, str], timeout: float, recovery: float | None
) -> None:
    """A recovery timeout that is not given equals the timeout; one of zero switches the check off."""
    made = rules({"waitForPodsReady": written}).pods_ready
    assert (made.timeout, made.recovery_timeout) == (timeout, recovery)


def test_a_selector_that_is_empty_is_not_one_that_is_absent() -> None:
    """An empty selector selects every namespace; that is told apart from no selector."""
    assert rules({"managedJobsNamespaceSelector": {}}).managed_namespaces == Selector(())
    assert rules({}).managed_namespaces is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "it must be a mapping, not list"),
        ({"waitForPodReady": {}}, "waitForPodReady is not a key that the reference knows. Did you mean"),
        ({"resources": {"transformations": []}}, "resources.transformations is not a key"),
        ({"waitForPodsReady": {"timeout": "soon"}}, "waitForPodsReady.timeout is 'soon', not a duration"),
        ({"waitForPodsReady": {"timeout": 300}}, "waitForPodsReady.timeout must be of type str"),
        ({"waitForPodsReady": {"requeuingStrategy": {"timestamp": "Now"}}}, "timestamp is 'Now'"),
        ({"waitForPodsReady": {"requeuingStrategy": {"backoffLimitCount": True}}}, "must be of type int"),
        ({"waitForPodsReady": {"requeuingStrategy": {"backoffMaxSeconds": -1}}}, "less than 0"),
        ({"manageJobsWithoutQueueName": "yes"}, "manageJobsWithoutQueueName must be of type bool"),
        ({"managedJobsNamespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}, "operator 'Gt'"),
        ({"resources": {"excludeResourcePrefixes": [1]}}, "must be a list of strings"),
    ],
)
def test_what_cannot_be_honoured_is_refused(content: Any, says: str) -> None:
    """An unknown key or a bad value is refused with a sentence that names it."""
    with pytest.raises(ValueError, match=r".") as raised:
        rules(content)
    assert says in str(raised.value)


def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path: Path) -> None:
    """A file that cannot be decoded is named in one line."""
    file = tmp_path / "config.yaml"
    file.write_text("a: [")
    with pytest.raises(UsageError) as raised:
        read_rules(file)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [
        ("a: [", "cannot use kubeconfig"),
        ("current-context: x\ncontexts: []\n", "no context 'x'"),
        (
            "current-context: c\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
            "users: [{name: u, user: {token: t}}]\n",
            "http://127.0.0.1:1 cannot be used",
        ),
    ],
)
def test_a_process_that_cannot_begin_says_one_sentence(tmp_path: Path, kubeconfig: str, says: str) -> None:
    """A kubeconfig that is broken, or whose API server does not answer, ends the process with one line and code 2."""
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig)
    command = [sys.executable, "-m", "conformance.reference", "--kubeconfig", str(file)]
    ports = ["--health-port", "0", "--webhook-port", "0"]
    ended = subprocess.run([*command, *ports], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
