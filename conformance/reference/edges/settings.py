"""The settings of a process, and the configuration file: the keys of Kueue's Configuration that say what is decided.

Only keys that are honoured are accepted: a key that would silently do nothing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from conformance.errors import UsageError, nearest
from conformance.reference.model import Match, PodsReadyRules, Rules, Selector

_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|h|m|s))+")
_PART: Final = re.compile(r"([0-9.]+)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True)
class Settings:
    """What a process is started with."""

    kubeconfig: Path | None = None
    """None: the ServiceAccount of the pod it runs in."""
    scope: str = ""
    rules: Rules = field(default_factory=Rules)
    webhook_host: str = "127.0.0.1"
    """Where both servers listen."""
    webhook_port: int = 9443
    webhook_url_host: str = "127.0.0.1"
    webhook_service: tuple[str, str] | None = None
    """Namespace and name of the Service by which the API server reaches the webhooks; else by host and port."""
    health_port: int = 8081
    certificates: Path | None = None
    leader_elect: bool = False
    lease_namespace: str = "default"


def read_rules(path: Path | None) -> Rules:
    """The rules of a configuration file; Kueue's defaults without one. Raises UsageError."""
    if path is None:
        return Rules()
    try:
        content = yaml.safe_load(path.read_text())
        return rules({} if content is None else content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the configuration {path}: {' '.join(str(error).split())}") from error
    except ValueError as error:
        raise UsageError(f"cannot use the configuration {path}: {error}") from error


def rules(content: Any) -> Rules:
    """The rules that a decoded configuration says. Raises ValueError."""
    top = _Keys(content, "")
    top.take("apiVersion", str)
    top.take("kind", str)
    resources = _Keys(top.take("resources", dict) or {}, "resources")
    prefixes = resources.take("excludeResourcePrefixes", list) or []
    selector = top.take("managedJobsNamespaceSelector", dict)
    made = Rules(
        pods_ready=_pods_ready(top.take("waitForPodsReady", dict) or {}),
        manage_without_queue=bool(top.take("manageJobsWithoutQueueName", bool)),
        managed_namespaces=None if selector is None else _selector(selector),
        excluded_prefixes=tuple(_strings(prefixes, "resources.excludeResourcePrefixes")),
    )
    resources.done()
    top.done()
    return made


def _pods_ready(content: Any) -> PodsReadyRules:
    keys = _Keys(content, "waitForPodsReady")
    requeuing = _Keys(keys.take("requeuingStrategy", dict) or {}, "waitForPodsReady.requeuingStrategy")
    made = PodsReadyRules()
    enabled = keys.take("enable", bool)
    # A timeout of zero is one that was not given, as in Kueue; a recovery timeout of zero switches it off.
    timeout = keys.duration("timeout") or made.timeout
    recovery = keys.duration("recoveryTimeout")
    timestamp = requeuing.take("timestamp", str)
    if timestamp not in (None, "Eviction", "Creation"):
        raise ValueError(f"waitForPodsReady.requeuingStrategy.timestamp is {timestamp!r}, not Eviction or Creation")
    base, longest = requeuing.take("backoffBaseSeconds", int), requeuing.take("backoffMaxSeconds", int)
    made = replace(
        made,
        enabled=True if enabled is None else enabled,
        timeout=timeout,
        recovery_timeout=timeout if recovery is None else recovery or None,
        block_admission=bool(keys.take("blockAdmission", bool)),
        by_eviction_time=timestamp != "Creation",
        backoff_base=made.backoff_base if base is None else float(base),
        backoff_max=made.backoff_max if longest is None else float(longest),
        backoff_limit=requeuing.take("backoffLimitCount", int),
    )
    requeuing.done()
    keys.done()
    return made


class _Keys:
    """The keys of a mapping, each taken once; those that nobody took are unknown."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise ValueError(f"{where or 'it'} must be a mapping, not {type(content).__name__}")
        self._content, self._where, self._taken = content, where, [""]

    def take(self, key: str, type_: type) -> Any:
        """Its value, None where it is not given."""
        self._taken.append(key)
        value = self._content.get(key)
        # To Python, True is an int.
        if value is not None and (not isinstance(value, type_) or (type_ is int and isinstance(value, bool))):
            raise ValueError(f"{self._path(key)} must be of type {type_.__name__}, not {type(value).__name__}")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{self._path(key)} is {value}, less than 0")
        return value

    def duration(self, key: str) -> float | None:
        """Seconds of a duration as Go writes it (`5m`, `1h30m`, `500ms`)."""
        written = self.take(key, str)
        if written is None:
            return None
        if written != "0" and not _DURATION.fullmatch(written):
            raise ValueError(f"{self._path(key)} is {written!r}, not a duration like 5m, 1h30m or 0s")
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))

    def done(self) -> None:
        for key in self._content:
            if key not in self._taken:
                guess = nearest(str(key), self._taken[1:])
                raise ValueError(f"{self._path(str(key))} is not a key that the reference knows.{guess}".rstrip("."))

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key


def _selector(content: Any) -> Selector:
    keys = _Keys(content, "managedJobsNamespaceSelector")
    labels = keys.take("matchLabels", dict) or {}
    matches = [Match(str(key), "In", (str(value),)) for key, value in labels.items()]
    for entry in keys.take("matchExpressions", list) or []:
        expression = _Keys(entry, "managedJobsNamespaceSelector.matchExpressions")
        operator = expression.take("operator", str)
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise ValueError(f"managedJobsNamespaceSelector has the unknown operator {operator!r}")
        values = _strings(expression.take("values", list) or [], "managedJobsNamespaceSelector … values")
        matches.append(Match(expression.take("key", str) or "", operator, tuple(values)))
        expression.done()
    keys.done()
    return Selector(tuple(matches))


def _strings(content: list[Any], where: str) -> list[str]:
    if not all(isinstance(entry, str) for entry in content):
        raise ValueError(f"{where} must be a list of strings")
    return content
