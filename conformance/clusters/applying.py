"""Puts rendered manifests on a cluster: many objects at a time, by server-side apply, in dependency order.

Where its work ends: it applies what it is given. What of an upstream manifest must be changed for a controller that
runs outside the cluster is `controllers.py`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
import yaml

from conformance.errors import HarnessError, UsageError
from conformance.kube import APPLY_PATCH, ApiError, Kube, Object

FIELD_MANAGER: Final = "kueue-lws-conformance"
AT_ONCE: Final = 16
"""Requests under way at a time; more only queue in the API server."""
FIRST: Final = ("Namespace", "CustomResourceDefinition")
"""Kinds that others need before they can be created."""
CLUSTER_SCOPED: Final = frozenset(
    {
        "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration", "APIService", "FlowSchema", "PriorityClass", "PriorityLevelConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Node", "ClusterQueue", "ResourceFlavor",
        "Topology", "Cohort", "AdmissionCheck", "WorkloadPriorityClass",
    }
)  # fmt: skip


def read_documents(path: Path) -> list[Object]:
    """The objects of a YAML file with any number of documents. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return [document for document in yaml.load_all(file, yaml.CSafeLoader) if document]
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the manifest {path}: {error}") from error


def apply_all(kube: Kube, objects: Iterable[Object], *, deadline: float) -> None:
    """Apply the objects concurrently: namespaces and CRDs first, then the rest.

    `deadline` is a number of seconds for all of it. Raises HarnessError that names the first object refused.
    """
    until = time.monotonic() + deadline
    encoded = [(obj, msgspec.json.encode(obj)) for obj in objects]
    encoded.sort(key=lambda each: len(each[1]), reverse=True)  # one big CRD must not start when all others are done
    for first in (True, False):
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="apply") as pool:
            stage = [each for each in encoded if (each[0]["kind"] in FIRST) is first]
            for applied in [pool.submit(apply, kube, obj, body, until) for obj, body in stage]:
                applied.result()


def apply(kube: Kube, obj: Object, body: bytes, until: float) -> None:
    """Apply one object, trying again while the server is not yet able to judge it (5xx, 429, no connection)."""
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    while True:
        try:
            kube.raw("PATCH", path_of(obj), body, query=query, content_type=APPLY_PATCH)
            return
        except (ApiError, HarnessError) as error:
            not_yet = not isinstance(error, ApiError) or error.status >= 500 or error.status == 429
            if not not_yet or time.monotonic() > until:
                raise HarnessError(f"{obj['kind']} {obj['metadata']['name']} cannot be applied: {error}") from error
            time.sleep(0.05)


def path_of(obj: Object) -> str:
    """The request path of an object, from its apiVersion and kind alone (upstream kinds have regular plurals)."""
    api_version, kind, meta = obj["apiVersion"], obj["kind"], obj["metadata"]
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    inside = "" if kind in CLUSTER_SCOPED else f"/namespaces/{meta.get('namespace', 'default')}"
    return f"{root}{inside}/{plural(kind)}/{meta['name']}"


def plural(kind: str) -> str:
    """`NetworkPolicy` -> `networkpolicies`, `FlowSchema` -> `flowschemas`, `PriorityClass` -> `priorityclasses`."""
    word = kind.lower()
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("s") else "s")


def served_by(crd: Object) -> list[tuple[str, str]]:
    """(discovery path, plural) of each version that a CRD serves."""
    spec = crd["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    return [(f"/apis/{spec['group']}/{version}", spec["names"]["plural"]) for version in served]


def are_served(kube: Kube, resources: Iterable[tuple[str, str]]) -> bool:
    """Whether the API server serves all of these (discovery path, plural).

    Discovery, not the CRDs' conditions: listing those means megabytes for each look.
    """
    wanted: dict[str, set[str]] = {}
    for path, plural_name in resources:
        wanted.setdefault(path, set()).add(plural_name)
    try:
        return all(
            names <= {resource["name"] for resource in kube.request("GET", path)["resources"]}
            for path, names in wanted.items()
        )
    except ApiError as error:
        if error.status in (404, 503):
            return False
        raise
