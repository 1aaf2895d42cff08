"""Recipes: how each component comes out of its Go module, and what is taken from the module besides the binaries.

Data only. Versions are in `lines`; the pinned dependencies are the `go.mod` and `go.sum` in `modules/`; the compiler is
called in `building`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

MIN_GO: Final = (1, 26)
"""The oldest Go release that compiles every component of every line."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One component: a Go module, the commands built from it and the manifests rendered from its folder."""

    component: str
    module: str
    packages: Mapping[str, str]
    """Binary to package. Several are built by one `go build`, which names each after its package's last element."""
    seconds: float
    """Wall seconds of a build with cold caches on two cores: what the progress display counts towards."""
    peak: float
    """Gigabytes on disk that a build with cold caches needs while it lasts: Go's caches, scratch and the result."""
    left: float
    """Gigabytes of those that are still there while the next component is built."""
    shared: bool = True
    """Whether components that follow compile faster for what it left in Go's build cache; else that goes at once."""
    stamps: tuple[str, ...] = ()
    """Linker assignments (`-X`) that tell the binary its version; `{version}`, `{major}`, `{minor}` are filled in."""
    manifests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Manifest name to the kustomize folders of the module that make it up."""

    def flags(self, version: str) -> tuple[str, ...]:
        """The flags of `go build`. They are part of an entry's key: a changed flag is a new binary."""
        if not self.packages:
            return ()
        major, minor, *_ = [*version.split("."), "0"]
        stamps = [f"-X {stamp.format(version=version, major=major, minor=minor)}" for stamp in self.stamps]
        return ("-trimpath", "-ldflags", " ".join(["-s", "-w", *stamps]))

    def unbuilt(self) -> Recipe:
        """The same without programs: one module is downloaded, and its manifests are rendered."""
        return replace(self, packages=MappingProxyType({}), stamps=(), seconds=15, peak=0.5, left=0.3)


_KUBERNETES_STAMPS: Final = tuple(
    f"k8s.io/{place}.git{name}"
    for place in ("component-base/version", "client-go/pkg/version")
    for name in ("Version=v{version}", "Major={major}", "Minor={minor}")
)

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        recipe.component: recipe
        for recipe in (
            Recipe(
                component="kubernetes",  # first: its kubectl renders the manifests of the others
                module="k8s.io/kubernetes",
                packages={
                    name: f"k8s.io/kubernetes/cmd/{name}"
                    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
                },
                stamps=_KUBERNETES_STAMPS,
                seconds=300,
                peak=6.0,
                left=1.0,
                shared=False,  # the others are compiled with other releases of the same libraries
            ),
            Recipe(
                component="etcd",
                module="go.etcd.io/etcd/server/v3",
                packages={"etcd": "go.etcd.io/etcd/server/v3"},
                seconds=30,
                peak=1.5,
                left=0.6,
            ),
            Recipe(
                component="kwok",
                module="sigs.k8s.io/kwok",
                packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
                manifests={
                    "kwok-stages": ("kustomize/stage/node/fast", "kustomize/stage/pod/fast"),
                    "kwok-rbac": ("kustomize/rbac",),
                },
                seconds=60,
                peak=2.0,
                left=0.9,
            ),
            Recipe(
                component="lws",
                module="sigs.k8s.io/lws",
                packages={"lws": "sigs.k8s.io/lws/cmd"},
                stamps=("sigs.k8s.io/lws/pkg/version.GitVersion=v{version}",),
                manifests={"lws": ("config/default",)},
                seconds=75,
                peak=2.5,
                left=1.1,
            ),
            Recipe(
                component="kueue",
                module="sigs.k8s.io/kueue",
                packages={"kueue": "sigs.k8s.io/kueue/cmd/kueue"},
                stamps=("sigs.k8s.io/kueue/pkg/version.GitVersion=v{version}",),
                manifests={"kueue": ("config/default",)},
                seconds=190,
                peak=5.5,
                left=2.6,
            ),
        )
    }
)
