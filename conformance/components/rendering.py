"""Rendering: a module's own kustomize folders become one multi-document YAML file, stored beside its binary.

The suite keeps no copy of an upstream CRD, role or webhook: they all come from here. What is changed in them to run out
of a cluster is the business of `conformance.clusters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.components.building import Workshop
from conformance.errors import HarnessError


def render(workshop: Workshop, sources: Path, manifests: Mapping[str, tuple[str, ...]], into: Path) -> None:
    """Write `<into>/<name>.yaml` for each manifest, from the kustomize folders under `sources` that make it up."""
    if not manifests:
        return
    if workshop.kubectl is None:
        raise HarnessError(f"the manifests of {workshop.what} are to be rendered before there is a kubectl")
    into.mkdir(parents=True, exist_ok=True)
    for name, folders in manifests.items():
        parts = [
            workshop.run([str(workshop.kubectl), "kustomize", str(sources / folder)], folder=workshop.scratch)
            for folder in folders
        ]
        (into / f"{name}.yaml").write_text("---\n".join(parts), encoding="utf-8")
