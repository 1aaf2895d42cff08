"""Reads the YAML files of `manifests/`, from a checkout as well as from an installed distribution."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from conformance.kube import Object


def text(name: str) -> str:
    """The content of a manifest file."""
    return _file(name).read_text()


def read(name: str) -> list[Object]:
    """The objects of a manifest file."""
    return [document for document in yaml.load_all(text(name), yaml.CSafeLoader) if document]


def _file(name: str) -> Traversable:
    try:
        return files("conformance.manifests") / name
    except ModuleNotFoundError:  # run from a checkout that is not installed
        return Path(__file__).parents[1] / "manifests" / name
