"""What stories apply: the page's samples as the page prints them, and complete LeaderWorkerSets, queues and flavors."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from conformance.world import builders
from conformance.world.builders import SetSpec, leader_worker_set, sample
from conformance.world.requests import Requests, canary_room, groups
from conformance.world.rules import PLAIN, QueueRules, limits

TENANT, LABELS = "k3f9-story", {"conformance.kueue-lws.dev/run": "k3f9"}
LEADER, WORKER = Requests(cpu=100), Requests(cpu=200, gpu=1)

# As the page prints them; that the files are equal to this is what makes them verbatim.
PAGE_SAMPLE = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: nginx-leaderworkerset
  labels:
    app: nginx
    kueue.x-k8s.io/queue-name: user-queue
spec:
  replicas: 2
  leaderWorkerTemplate:
    leaderTemplate:
      spec:
        containers:
          - name: nginx-leader
            image: registry.k8s.io/nginx-slim:0.27
            resources:
              requests:
                cpu: "100m"
            ports:
              - containerPort: 80
    size: 3
    workerTemplate:
      spec:
        containers:
          - name: nginx-worker
            image: registry.k8s.io/nginx-slim:0.27
            resources:
              requests:
                cpu: "200m"
            ports:
              - containerPort: 80
"""
TOPOLOGY_SAMPLE = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: nginx-leaderworkerset
  labels:
    app: nginx
    kueue.x-k8s.io/queue-name: tas-user-queue
spec:
  replicas: 2
  leaderWorkerTemplate:
    leaderTemplate:
      metadata:
        annotations:
          # Require leader to be in the topology domain
          kueue.x-k8s.io/podset-required-topology: "cloud.provider.com/topology-rack"
          # Identify the group to ensure co-location with workers
          kueue.x-k8s.io/podset-group-name: "lws-group"
      spec:
        containers:
        - name: nginx-leader
          image: registry.k8s.io/nginx-slim:0.27
          resources:
            requests:
              cpu: "100m"
          ports:
          - containerPort: 80
    size: 3
    workerTemplate:
      metadata:
        annotations:
          # Require workers to be in the same topology domain
          kueue.x-k8s.io/podset-required-topology: "cloud.provider.com/topology-rack"
          # Identify the group to ensure co-location with leader
          kueue.x-k8s.io/podset-group-name: "lws-group"
      spec:
        containers:
        - name: nginx-worker
          image: registry.k8s.io/nginx-slim:0.27
          resources:
            requests:
              cpu: "200m"
              nvidia.com/gpu: "1"
          ports:
          - containerPort: 80
"""


def template(spec: SetSpec, role: str) -> Any:
    return spec.object["spec"]["leaderWorkerTemplate"].get(f"{role}Template")


def resources(spec: SetSpec, role: str) -> Any:
    [container] = template(spec, role)["spec"]["containers"]
    return container["resources"]


def annotated(spec: SetSpec, role: str) -> Any:
    return (template(spec, role).get("metadata") or {}).get("annotations", {})


# The page's samples


@pytest.mark.parametrize(
    ("file", "printed"), [("page-sample.yaml", PAGE_SAMPLE), ("page-topology-sample.yaml", TOPOLOGY_SAMPLE)]
)
def test_a_sample_is_what_the_page_prints(file: str, printed: str) -> None:
    """A sample is applied exactly as the page prints it: nothing is added, changed or left out."""
    assert sample(file, Requests()).object == yaml.safe_load(printed)


def test_the_mended_sample_differs_by_one_limit() -> None:
    """The mended topology sample is the printed one with a limit on the workers' GPU, and with nothing else."""
    printed = sample("page-topology-sample.yaml", Requests())
    mended = deepcopy(printed.object)
    [worker] = mended["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"]
    worker["resources"]["limits"] = {"nvidia.com/gpu": "1"}
    assert sample("page-topology-sample-mended.yaml", Requests()).object == mended


# LeaderWorkerSets


def test_a_set_is_complete() -> None:
    """A LeaderWorkerSet has everything that its story relies on, in plain words."""
    made = leader_worker_set("lws", replicas=2, leader=LEADER, worker=WORKER, priority_class="low")
    image = {"image": "registry.k8s.io/pause:3.10"}
    assert made.object == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {
            "name": "lws",
            "labels": {"kueue.x-k8s.io/queue-name": "user-queue", "kueue.x-k8s.io/priority-class": "low"},
        },
        "spec": {
            "replicas": 2,
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": 3,
                "leaderTemplate": {
                    "spec": {
                        "containers": [{"name": "leader", **image, "resources": {"requests": {"cpu": "100m"}}}],
                        "terminationGracePeriodSeconds": 1,
                    }
                },
                "workerTemplate": {
                    "spec": {
                        "containers": [
                            {
                                "name": "worker",
                                **image,
                                "resources": {
                                    "requests": {"cpu": "200m", "nvidia.com/gpu": "1"},
                                    "limits": {"nvidia.com/gpu": "1"},
                                },
                            }
                        ],
                        "terminationGracePeriodSeconds": 1,
                    }
                },
            },
        },
    }


def test_replicas_may_be_left_unset() -> None:
    """A set without `replicas` does not mention them."""
    assert "replicas" not in leader_worker_set(replicas=None).object["spec"]


def test_a_set_without_queue_has_no_label() -> None:
    """A set without a queue has no label of Kueue's."""
    assert leader_worker_set(queue=None).object["metadata"]["labels"] == {}


amounts = st.builds(Requests, cpu=st.integers(0, 5000), gpu=st.integers(0, 8))


@given(st.integers(1, 16), amounts, amounts)
def test_a_group_asks_for_its_leader_and_its_workers(size: int, leader: Requests, worker: Requests) -> None:
    """A group asks for its leader and size - 1 workers; without a leader template, for size workers."""
    with_leader = leader_worker_set(size=size, leader=leader, worker=worker)
    assert with_leader.group == leader + worker * (size - 1)
    assert leader_worker_set(size=size, leader=None, worker=worker).group == worker * size
    assert template(leader_worker_set(size=size, leader=None, worker=worker), "leader") is None


@given(amounts, amounts)
def test_gpus_have_a_limit_equal_to_the_request(leader: Requests, worker: Requests) -> None:
    """Extended resources have a limit equal to their request, as the API server demands, and cpu has none."""
    made = leader_worker_set(leader=leader, worker=worker)
    for role, requests in (("leader", leader), ("worker", worker)):
        found = resources(made, role)
        assert found["requests"] == requests.quantities()
        assert found.get("limits") == ({"nvidia.com/gpu": str(requests.gpu)} if requests.gpu else None)


RACK = "cloud.provider.com/topology-rack"
REQUIRED = {"kueue.x-k8s.io/podset-required-topology": RACK}
JOINED = REQUIRED | {"kueue.x-k8s.io/podset-group-name": "lws-group"}


def test_with_a_leader_template_both_ask_for_one_domain_together() -> None:
    """With a leader template both templates require the level, and are joined in one podset group."""
    made = leader_worker_set(required=RACK)
    assert annotated(made, "leader") == annotated(made, "worker") == JOINED


def test_without_a_leader_template_there_is_nothing_to_join() -> None:
    """Without a leader template the worker template alone requires the level, and names no podset group."""
    assert annotated(leader_worker_set(leader=None, required=RACK), "worker") == REQUIRED


def test_a_level_may_be_preferred() -> None:
    """A set that prefers a level says so on both templates, joined as where it is required."""
    made = leader_worker_set(preferred=RACK)
    preferred = {"kueue.x-k8s.io/podset-preferred-topology": RACK, "kueue.x-k8s.io/podset-group-name": "lws-group"}
    assert annotated(made, "leader") == annotated(made, "worker") == preferred


def test_workers_may_ask_for_a_level_alone() -> None:
    """Where leader and workers are not joined, the worker template alone requires the level, in no podset group."""
    made = leader_worker_set(required=RACK, joined=False)
    assert annotated(made, "worker") == REQUIRED
    assert annotated(made, "leader") == {}


def test_workers_may_be_sliced() -> None:
    """Slices have a level and a size, beside the level that the group asks for."""
    asked = {"kueue.x-k8s.io/podset-slice-required-topology": RACK, "kueue.x-k8s.io/podset-slice-size": "2"}
    assert annotated(leader_worker_set(leader=None, slices=(RACK, 2)), "worker") == asked
    assert annotated(leader_worker_set(leader=None, required=RACK, slices=(RACK, 2)), "worker") == asked | REQUIRED


def test_a_set_may_have_a_restart_policy() -> None:
    """The restart policy is that of the story, and is not mentioned if it has none."""
    assert leader_worker_set(restart="None").object["spec"]["leaderWorkerTemplate"]["restartPolicy"] == "None"
    assert "restartPolicy" not in leader_worker_set().object["spec"]["leaderWorkerTemplate"]


def test_a_set_may_limit_its_rolling_updates() -> None:
    """How many groups an update may make unavailable, or have beyond the replicas, stands in the set, nothing else."""
    plain, rolling = leader_worker_set(), leader_worker_set().rolling(unavailable=0, surge=2)
    strategy = rolling.object["spec"].pop("rolloutStrategy")
    assert strategy == {
        "type": "RollingUpdate",
        "rollingUpdateConfiguration": {"maxUnavailable": 0, "maxSurge": 2},
    }
    assert rolling == plain


def test_pods_of_one_role_may_be_varied() -> None:
    """A set whose leaders or workers have other fields is another set; what is None is taken off, the first stays."""
    made = leader_worker_set()
    before = deepcopy(made.object)
    varied = made.with_pods("leader", nodeSelector={"a": "b"}, terminationGracePeriodSeconds=None)
    assert template(varied, "leader")["spec"]["nodeSelector"] == {"a": "b"}
    assert "terminationGracePeriodSeconds" not in template(varied, "leader")["spec"]
    assert template(varied, "worker") == template(made, "worker")
    assert made.object == before
    with pytest.raises(ValueError, match="lws has no leader template"):
        leader_worker_set(leader=None).with_pods("leader")


def test_a_set_without_topology_says_nothing_of_it() -> None:
    """A set that requires no level has no annotations at all on its templates."""
    made = leader_worker_set()
    assert "metadata" not in template(made, "leader")
    assert "metadata" not in template(made, "worker")


TENANT_KEY, CANARY_KEY = "conformance.kueue-lws.dev/tenant", "conformance.kueue-lws.dev/canary"


def toleration(key: str) -> dict[str, str]:
    return {"key": key, "operator": "Equal", "value": TENANT, "effect": "NoSchedule"}


def test_a_set_that_no_flavor_places_finds_the_tenants_nodes() -> None:
    """Pods of an unmanaged set select the tenant's nodes and tolerate their taint, leaders and workers alike."""
    made = leader_worker_set(queue=None, on_tenant=TENANT)
    for role in ("leader", "worker"):
        spec = template(made, role)["spec"]
        assert spec["nodeSelector"] == {TENANT_KEY: TENANT}
        assert spec["tolerations"] == [toleration(TENANT_KEY)]


def test_a_canary_runs_on_its_own_host() -> None:
    """A canary selects its host and tolerates its second taint, where the racks under test must stay exact."""
    spec = template(leader_worker_set(leader=None, on_tenant=TENANT, canary=True), "worker")["spec"]
    assert spec["nodeSelector"] == {TENANT_KEY: TENANT, "kubernetes.io/hostname": f"{TENANT}-canary"}
    assert spec["tolerations"] == [toleration(TENANT_KEY), toleration(CANARY_KEY)]


@pytest.mark.parametrize("required", [None, RACK])
def test_leaders_can_be_held(required: str | None) -> None:
    """Held leaders carry the annotation of our KWOK stage beside what they had; workers and the first spec do not."""
    made = leader_worker_set(required=required)
    before = deepcopy(made.object)
    held = made.held_not_ready()
    assert annotated(held, "leader") == annotated(made, "leader") | {"conformance.kueue-lws.dev/hold-not-ready": "true"}
    assert template(held, "worker") == template(made, "worker")
    assert held.group == made.group
    assert made.object == before


def test_without_a_leader_template_leaders_cannot_be_held() -> None:
    """A set without a leader template cannot hold its leaders alone, and says so."""
    with pytest.raises(ValueError, match="lws has no leader template to hold its leaders by"):
        leader_worker_set(leader=None).held_not_ready()


def test_a_set_can_be_varied() -> None:
    """A set with other labels or annotations is another set; what is None is taken off, and the first is as it was."""
    made = leader_worker_set()
    before = deepcopy(made.object)
    varied = made.but(labels=None, annotations={"a": "b"})
    assert varied.object["metadata"] == {"name": "lws", "annotations": {"a": "b"}}
    assert varied.object["spec"] == made.object["spec"]
    assert made.object == before


# Queues, flavors, topologies


@pytest.mark.parametrize("named", [None, TENANT])
def test_a_flavor_leads_to_its_tenant_alone(named: str | None) -> None:
    """A tenant's flavor leads to its nodes, tolerates their taint, and names the topology if there is one."""
    made = builders.flavor(TENANT, LABELS, named)
    topology = {"topologyName": TENANT} if named else {}
    assert made["spec"] == {"nodeLabels": {TENANT_KEY: TENANT}, "tolerations": [toleration(TENANT_KEY)], **topology}
    assert made["metadata"] == {"name": TENANT, "labels": LABELS}


def test_a_topology_has_three_levels() -> None:
    """A tenant's topology is of blocks, racks and hosts, widest first."""
    levels = ["cloud.provider.com/topology-block", RACK, "kubernetes.io/hostname"]
    assert builders.topology(TENANT, LABELS)["spec"] == {"levels": [{"nodeLabel": level} for level in levels]}


def test_a_cluster_queue_serves_its_tenant_alone() -> None:
    """A tenant's ClusterQueue takes its namespace alone, has its one flavor, never preempts and is in no cohort."""
    covers = ("cpu", "nvidia.com/gpu")
    made = builders.cluster_queue("queue", TENANT, LABELS, Requests(cpu=510), covers)
    assert made == {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "ClusterQueue",
        "metadata": {"name": "queue", "labels": LABELS},
        "spec": {
            "namespaceSelector": {"matchLabels": {TENANT_KEY: TENANT}},
            "queueingStrategy": "BestEffortFIFO",
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "nvidia.com/gpu"],
                    "flavors": [
                        {
                            "name": TENANT,
                            "resources": [
                                {"name": "cpu", "nominalQuota": "510m"},
                                {"name": "nvidia.com/gpu", "nominalQuota": "0"},
                            ],
                        }
                    ],
                }
            ],
        },
    }


def test_a_cluster_queue_may_be_in_a_cohort() -> None:
    """A ClusterQueue of a cohort names it, and differs in nothing else."""
    alone = builders.cluster_queue("queue", TENANT, LABELS, Requests(cpu=510), ("cpu",))
    joined = builders.cluster_queue("queue", TENANT, LABELS, Requests(cpu=510), ("cpu",), "cohort")
    assert joined["spec"] == alone["spec"] | {"cohortName": "cohort"}


def test_a_foreign_pod_is_bound_and_goes_at_once() -> None:
    """A pod that Kueue does not manage has no label of Kueue's, is bound when created, and needs nobody to end it."""
    made = builders.foreign_pod("on-h1", TENANT, "node", Requests(cpu=100, gpu=1))
    assert made["metadata"] == {"name": "on-h1", "namespace": TENANT}
    assert (made["spec"]["nodeName"], made["spec"]["terminationGracePeriodSeconds"]) == ("node", 0)
    [container] = made["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "100m", "nvidia.com/gpu": "1"}


def test_quota_is_given_for_covered_resources_alone() -> None:
    """A resource that the queue does not cover has no quota, whatever amount is given."""
    group = builders.resource_group("flavor", Requests(cpu=100, gpu=4), ("cpu",))
    assert group["coveredResources"] == ["cpu"]
    assert group["flavors"][0]["resources"] == [{"name": "cpu", "nominalQuota": "100m"}]


def test_a_local_queue_is_in_the_tenants_namespace() -> None:
    """A LocalQueue lies in the tenant's namespace and leads to its ClusterQueue."""
    made = builders.local_queue("user-queue", TENANT, "queue", LABELS)
    assert made["metadata"] == {"name": "user-queue", "namespace": TENANT, "labels": LABELS}
    assert made["spec"] == {"clusterQueue": "queue"}


def test_a_priority_class_is_of_the_run() -> None:
    """The canaries' WorkloadPriorityClass has its value and carries the run's labels."""
    made = builders.priority_class("k3f9-canary", -100, LABELS)
    assert (made["kind"], made["value"]) == ("WorkloadPriorityClass", -100)
    assert made["metadata"] == {"name": "k3f9-canary", "labels": LABELS}


def test_a_cluster_queue_has_the_rules_that_are_stated() -> None:
    """Rules state a ClusterQueue's preemption policies and strategy; those of nobody in particular state none."""
    rules = QueueRules(within="LowerPriority", reclaim="Any", borrow_up_to=10, strategy="StrictFIFO")
    ruled, plain = (
        builders.cluster_queue("queue", TENANT, LABELS, Requests(cpu=510), ("cpu",), rules=given)["spec"]
        for given in (rules, PLAIN)
    )
    assert ruled["queueingStrategy"] == "StrictFIFO"
    assert ruled["preemption"] == {
        "withinClusterQueue": "LowerPriority",
        "reclaimWithinCohort": "Any",
        "borrowWithinCohort": {"policy": "LowerPriority", "maxPriorityThreshold": 10},
    }
    assert plain["queueingStrategy"] == "BestEffortFIFO"
    assert "preemption" not in plain


def test_limits_are_stated_in_groups_or_not_at_all() -> None:
    """A limit is the amount of so many groups, 0 included; one that is not stated is not written."""
    stated = limits(groups(1) + canary_room, groups(0), Requests(cpu=500))
    quota = builders.resource_group("flavor", Requests(cpu=100), ("cpu",), stated)["flavors"][0]["resources"][0]
    assert quota == {"name": "cpu", "nominalQuota": "100m", "borrowingLimit": "510m", "lendingLimit": "0"}


def test_a_queue_of_several_flavors_has_the_quota_in_each() -> None:
    """Several flavors are written in their order, each with the same quota."""
    group = builders.resource_group(("one", "two"), Requests(cpu=100), ("cpu",))
    assert [flavor["name"] for flavor in group["flavors"]] == ["one", "two"]
    assert group["flavors"][0]["resources"] == group["flavors"][1]["resources"]


def test_a_flavor_of_a_rack_leads_to_its_hosts_alone() -> None:
    """One of several flavors is named after its rack and selects the hosts of the tenant that are in it."""
    made = builders.flavor(TENANT, LABELS, None, "r1")
    assert made["metadata"]["name"] == f"{TENANT}-r1"
    assert made["spec"]["nodeLabels"] == {
        "conformance.kueue-lws.dev/tenant": TENANT,
        "cloud.provider.com/topology-rack": "r1",
    }


def test_a_cohort_has_a_parent_and_quota_only_if_stated() -> None:
    """A Cohort without a parent is a root, and has no quota of its own unless there is one."""
    quota = builders.resource_group("flavor", Requests(cpu=100), ("cpu",))
    assert builders.cohort("root", LABELS, None, None)["spec"] == {}
    assert builders.cohort("team", LABELS, "root", quota)["spec"] == {"parentName": "root", "resourceGroups": [quota]}
