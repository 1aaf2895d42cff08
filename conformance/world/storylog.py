"""Each story's own log: what it did and waited for, line by line, and with `--show-manifests` what it applied."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import yaml


class StoryLog:
    """A small text file in the results folder. Safe for use from several threads."""

    def __init__(self, path: Path, *, manifests: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._manifests = manifests

    def say(self, text: str) -> None:
        """One line, with the seconds since the story began."""
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{time.monotonic() - self._begun:7.2f}s {text}\n")
                self._file.flush()

    def manifest(self, verb: str, obj: Any) -> None:
        """What was applied: its name, and the whole object where manifests are wanted."""
        name = obj.get("name") or obj.get("metadata", {}).get("name")
        self.say(f"{verb} {obj.get('kind')} {name}")
        if self._manifests:
            self.say("\n" + yaml.safe_dump(obj, sort_keys=False))

    def close(self) -> None:
        with self._lock:
            self._file.close()
