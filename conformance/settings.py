"""The one table of options: name, type, default and meaning, for the console command, for pytest and for files.

Option `--x` of the console command is `--conformance-x` of pytest and key `x` in a file. Precedence: command line, then
the file named by `--config`, then the section `[tool.kueue-lws-conformance]` of `pyproject.toml` in the current folder,
then the default.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from conformance.errors import UsageError, nearest

SECTION: Final = "kueue-lws-conformance"
Type = Literal["text", "number", "count", "flag", "list", "path"]


@dataclass(frozen=True)
class Option:
    """One option. `default=None` means: not given."""

    name: str
    type: Type
    help: str
    default: Any = None
    metavar: str = ""
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")


OPTIONS: Final[tuple[Option, ...]] = (
    Option("cluster", "text", "where to run: our own control plane, or an existing cluster; kind is to come", "local",
           "PROVIDER", ("local", "kind", "existing")),
    Option("implementation", "text", "what to judge: the real Kueue, our own reference, or what is installed", "kueue",
           "NAME", ("kueue", "reference", "installed")),
    Option("profile", "text", "which requirements: page, core, full or strict", "page", "NAME",
           ("page", "core", "full", "strict")),
    Option("requirement", "list", "only this requirement (may be repeated)", (), "ID"),
    Option("story", "list", "only this story (may be repeated)", (), "NAME"),
    Option("level", "list", "only requirements of this level (may be repeated)", (), "LEVEL"),
    Option("feature", "list", "only requirements of this feature (may be repeated)", (), "FEATURE"),
    Option("skip", "list", "leave out a requirement, with the reason; both are recorded (may be repeated)", (),
           "ID=REASON"),
    Option("kueue-version", "text", "release of Kueue to build and judge", None, "VERSION"),
    Option("lws-version", "text", "release of LeaderWorkerSet to build and use", None, "VERSION"),
    Option("kueue-from", "text", "judge this Kueue instead: a checkout, a module version, or BINARY:MANIFEST", None,
           "SOURCE"),
    Option("lws-from", "text", "use this LeaderWorkerSet instead: a checkout, a module version, or BINARY:MANIFEST",
           None, "SOURCE"),
    Option("kueue-config", "path", "a Kueue configuration file, merged over ours", None, "FILE"),
    Option("kubeconfig", "path", "kubeconfig of the existing cluster", None, "FILE"),
    Option("fake-nodes", "flag", "on an existing cluster: make fake nodes (KWOK must run there)", False),
    Option("reuse", "flag", "use the cluster that `cluster up` started", False),
    Option("port", "count", "port of the local API server; a free one if not given", None, "PORT"),
    Option("store", "path", "where built components are kept; in the user's cache if not given", None, "FOLDER"),
    Option("out", "path", "results folder; conformance-results/RUN if not given", None, "FOLDER"),
    Option("keep", "flag", "keep the run folder (etcd data, keys, component logs) even if all went well", False),
    Option("slow", "number", "multiply every deadline by this", 1.0, "FACTOR"),
    Option("stories-at-once", "count", "how many stories are told at once; 6 per core if not given", None, "N"),
    Option("show-manifests", "flag", "write what each story applies to its log", False),
    Option("no-sequential", "flag", "leave out what restarts or reconfigures the implementation, after all else",
           False),
    Option("ignore-versions", "flag", "judge requirements also on releases that they are not said to hold for", False),
    Option("fail-fast", "flag", "stop at the first failed claim", False),
    Option("fail-on", "text", "exit with 1 if a requirement of this level or above failed", "MUST", "LEVEL",
           ("MUST", "SHOULD", "STRICT")),
    Option("require-all", "flag", "exit with 1 if a requirement could not be tested on this cluster", False),
    Option("junit", "path", "also write JUnit XML, with requirement ids as properties", None, "FILE"),
)  # fmt: skip

BY_NAME: Final = {option.name: option for option in OPTIONS}


@dataclass(frozen=True)
class Settings:
    """The options in force for one run; the fields are the keys of the table."""

    cluster: str
    implementation: str
    profile: str
    requirement: tuple[str, ...]
    story: tuple[str, ...]
    level: tuple[str, ...]
    feature: tuple[str, ...]
    skip: tuple[str, ...]
    kueue_version: str | None
    lws_version: str | None
    kueue_from: str | None
    lws_from: str | None
    kueue_config: Path | None
    kubeconfig: Path | None
    fake_nodes: bool
    reuse: bool
    port: int | None
    store: Path | None
    out: Path | None
    keep: bool
    slow: float
    stories_at_once: int | None
    show_manifests: bool
    no_sequential: bool
    ignore_versions: bool
    fail_fast: bool
    fail_on: str
    require_all: bool
    junit: Path | None

    def skips(self) -> dict[str, str]:
        """Requirement id to reason."""
        parts = (part.partition("=") for part in self.skip)
        return {id_.strip(): reason.strip() for id_, _, reason in parts}


def settle(given: Mapping[str, Any], *, file: Path | None = None, folder: Path | None = None) -> Settings:
    """The settings from the command line, a file, and the section of `pyproject.toml` in `folder`.

    `given` has the names without dashes in front; None and empty lists mean: not given. Raises UsageError for every key
    or value that is not right.
    """
    layers = [
        ("", given),
        (f" in {file}", _from_file(file) if file else {}),
        (f" in [tool.{SECTION}] of pyproject.toml", _from_pyproject((folder or Path.cwd()) / "pyproject.toml")),
    ]
    settings = Settings(**{option.key: _settled(option, layers) for option in OPTIONS})
    for part in settings.skip:
        id_, _, reason = part.partition("=")
        if not id_.strip() or not reason.strip():
            raise UsageError(f"--skip {part}: a reason is missing; write --skip {id_.strip() or 'ID'}=REASON")
    if settings.slow <= 0:
        raise UsageError(f"--slow {settings.slow:g}: the factor must be above 0; write for example --slow 3")
    return settings


def _settled(option: Option, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    """The value of an option in the first layer that has one, in its type; else its default."""
    for where, layer in layers:
        found = layer.get(option.name)
        if found is None or found in ((), []):
            continue
        value = _typed(option.type, found)
        if value is None:
            wanted = f"{_WANTED[option.type]} is wanted"
            raise UsageError(f"{option.name} = {found!r}{where} is not right: {wanted}; `run --help` tells more")
        if option.choices and value not in option.choices:
            hint = nearest(value, list(option.choices))
            raise UsageError(
                f"unknown {option.name} {value!r}{where}.{hint} Choose one of: {', '.join(option.choices)}."
            )
        return value
    return option.default


def _from_file(path: Path) -> Mapping[str, Any]:
    content = _toml(path)
    tools = content.get("tool")
    section = tools.get(SECTION, content) if isinstance(tools, dict) else content
    return _known(section, str(path))


def _from_pyproject(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    section = _toml(path).get("tool", {}).get(SECTION, {})
    return _known(section, f"[tool.{SECTION}] of {path.name}")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a readable TOML file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct it") from error


def _known(section: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(section, dict):
        raise UsageError(f"{where} is not a table of keys; write for example `slow = 3` under [tool.{SECTION}]")
    for key in section:
        if key not in BY_NAME:
            raise UsageError(
                f"unknown key {key!r} in {where}.{nearest(key, list(BY_NAME))} `run --help` lists the keys."
            )
    return section


_WANTED: Final[Mapping[Type, str]] = {
    "text": "a text",
    "number": "a number",
    "count": "a whole number from 1 on",
    "flag": "true or false",
    "list": "a text or a list of texts",
    "path": "a path",
}


def _typed(type_: Type, found: Any) -> Any:
    """What a given value means; None if it is not of the type. On the command line numbers are given as text."""
    match type_, found:
        case "flag", bool():
            return found
        case "text", str():
            return found
        case "path", str() | Path():
            return Path(os.path.expanduser(found))
        case "list", str():
            return (found,)
        case "list", list() | tuple() if all(isinstance(part, str) for part in found):
            return tuple(found)
        case "number" | "count", bool():  # bool is an int to Python, but `slow = true` is a slip
            return None
        case "number", int() | float() | str():
            return _number(found)
        case "count", int() | str():
            return _count(found)
    return None


def _number(found: float | str) -> float | None:
    try:
        number = float(found)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _count(found: int | str) -> int | None:
    try:
        number = int(found)
    except ValueError:
        return None
    return number if number >= 1 else None


assert {field.name for field in fields(Settings)} == {option.key for option in OPTIONS}
