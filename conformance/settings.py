"""The one table of options: name, type, default and meaning, for the console command, for pytest and for files.

Option `--x` of the console command is `--conformance-x` of pytest and key `x` in a file. Precedence: command line, then
the file named by `--config`, then the section `[tool.kueue-lws-conformance]` of `pyproject.toml` in the current folder,
then the default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
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
    Option("cluster", "text", "where to run: a local control plane of our own, or an existing cluster", "local",
           "PROVIDER", ("local", "kind", "existing")),
    Option("implementation", "text", "what to judge: the real Kueue, or whatever is installed on the cluster", "kueue",
           "NAME", ("kueue", "installed")),
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
    Option("lws-from", "text", "use this LeaderWorkerSet instead: a checkout, a module version, or BINARY:MANIFEST", None,
           "SOURCE"),
    Option("kueue-config", "path", "a Kueue configuration file, merged over ours", None, "FILE"),
    Option("kubeconfig", "path", "kubeconfig of the existing cluster", None, "FILE"),
    Option("fake-nodes", "flag", "on an existing cluster: make fake nodes (KWOK must run there)", False),
    Option("reuse", "flag", "use the cluster that `cluster up` started", False),
    Option("port", "count", "port of the local API server; a free one if not given", None, "PORT"),
    Option("store", "path", "where built components are kept", None, "FOLDER"),
    Option("out", "path", "results folder", None, "FOLDER"),
    Option("keep", "flag", "keep the run folder (etcd data, keys, component logs) even if all went well", False),
    Option("slow", "number", "multiply every deadline by this", 1.0, "FACTOR"),
    Option("stories-at-once", "count", "how many stories are told at once; 6 per core if not given", None, "N"),
    Option("show-manifests", "flag", "write what each story applies to its log", False),
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
    fail_fast: bool
    fail_on: str
    require_all: bool
    junit: Path | None

    def skips(self) -> dict[str, str]:
        """Requirement id to reason."""
        return dict(part.split("=", 1) for part in self.skip)


def settle(given: Mapping[str, Any], *, file: Path | None = None, folder: Path | None = None) -> Settings:
    """The settings from what was given on the command line (names without dashes in front; None means not given), a
    file, and the section of `pyproject.toml` in `folder`. Raises UsageError for every key or value that is not right."""
    layers = [given, _from_file(file) if file else {}, _from_pyproject((folder or Path.cwd()) / "pyproject.toml")]
    values: dict[str, Any] = {}
    for option in OPTIONS:
        found = next((layer[option.name] for layer in layers if layer.get(option.name) not in (None, ())), option.default)
        values[option.key] = _typed(option, found)
    settings = Settings(**values)
    for part in settings.skip:
        if "=" not in part or not part.split("=", 1)[1].strip():
            raise UsageError(f"--skip {part}: a reason is missing; write --skip {part.split('=')[0]}=REASON")
    if settings.slow <= 0:
        raise UsageError(f"--slow {settings.slow:g}: the factor must be above 0; write for example --slow 3")
    return settings


def _from_file(path: Path) -> Mapping[str, Any]:
    content = _toml(path)
    section = content.get("tool", {}).get(SECTION, content)
    return _known(section, str(path))


def _from_pyproject(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    section = _toml(path).get("tool", {}).get(SECTION, {})
    return _known(section, f"[tool.{SECTION}] in {path.name}")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a readable TOML file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct it") from error


def _known(section: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    for key in section:
        if key not in BY_NAME:
            raise UsageError(f"unknown key {key!r} in {where}.{nearest(key, list(BY_NAME))} `run --help` lists the keys.")
    return section


def _typed(option: Option, found: Any) -> Any:
    if found is None:
        return None
    if option.choices and found not in option.choices:
        hint = nearest(str(found), list(option.choices))
        raise UsageError(f"unknown {option.name} {found!r}.{hint} Choose one of: {', '.join(option.choices)}.")
    try:
        match option.type:
            case "flag":
                if not isinstance(found, bool):
                    raise ValueError("true or false is wanted")
                return found
            case "number":
                return float(found)
            case "count":
                return int(found)
            case "path":
                return Path(found).expanduser()
            case "list":
                return (found,) if isinstance(found, str) else tuple(str(part) for part in found)
            case _:
                return str(found)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{option.name} = {found!r} is not right: {error}; see `run --help`") from error


assert {field.name for field in fields(Settings)} == {option.key for option in OPTIONS}
