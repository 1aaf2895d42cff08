"""The cells of a results folder: one line for each story told under a fault, written as soon as it is judged.

A line holds the digest of the code that its cells depend on; whoever goes on in the folder tells again what has changed
since. Of two lines for one fault and story the later one counts.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

import conformance
from conformance.errors import HarnessError
from conformance.faults.model import Fault
from conformance.proving.cells import Cell
from conformance.world.story import Story

FILE: Final = "cells.ndjson"
MATTERS: Final = ("expectations", "reference", "requirements", "trace", "world")
"""Packages on which every cell depends; of the suite and the faults only the modules at hand do."""


class Line(msgspec.Struct, frozen=True):
    """One story under one fault."""

    fault: str
    story: str
    digest: str
    seconds: float
    cells: list[Cell]


class Kept:
    """The file, open for appending, and what was in it before."""

    def __init__(self, folder: Path) -> None:
        """Raises HarnessError when the file cannot be read or written."""
        self.path = folder / FILE
        self.lines: dict[tuple[str, str], Line] = {}
        self._lock = threading.Lock()
        try:
            for line in _read(self.path):
                self.lines[line.fault, line.story] = line
            self._file = self.path.open("ab")
        except OSError as error:
            raise HarnessError(f"cannot write {self.path}: {error.strerror}; name another folder with --out") from error

    def has(self, fault: Fault, story: Story) -> bool:
        """Whether the cells of this story under this fault are here, from the code as it is now."""
        found = self.lines.get((fault.name, story.name))
        return found is not None and found.digest == digest(fault, story)

    def add(self, line: Line) -> None:
        """Append a line, from any thread; it is on disk before this returns."""
        with self._lock:
            self.lines[line.fault, line.story] = line
            try:
                self._file.write(msgspec.json.encode(line) + b"\n")
                self._file.flush()
            except OSError as error:
                raise HarnessError(f"cannot write {self.path}: {error.strerror}; free disk space and go on") from error

    def cells(self, fault: Fault, story: Story) -> list[Cell]:
        """Those of a story under a fault, as they were written."""
        return self.lines[fault.name, story.name].cells if self.has(fault, story) else []

    def close(self) -> None:
        self._file.close()


def _read(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):  # one that was cut off by a kill is told again
            try:
                yield msgspec.json.decode(line, type=Line)
            except msgspec.MsgspecError:
                continue


def digest(fault: Fault, story: Story) -> str:
    """Of the code that decides what the claims of a story say under a fault; not of what the fault names."""
    module, function = fault.install.__module__, fault.install.__name__
    matters = f"{_common()} {_of_fault(module, function)} {_of_module(story.module)}"
    return hashlib.sha256(matters.encode()).hexdigest()[:16]


@cache
def _common() -> str:
    root = Path(conformance.__file__).parent
    paths = [path for name in MATTERS for path in sorted((root / name).rglob("*")) if path.suffix in (".py", ".yaml")]
    paths += sorted(path for path in (root / "suites").glob("*.py") if not path.name.startswith("test_"))
    seen = hashlib.sha256()
    for path in paths:
        seen.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return seen.hexdigest()


@cache
def _of_fault(module: str, function: str) -> str:
    """A fault's body, and everything in its module that is not another fault."""
    kept: list[ast.stmt] = []
    for part in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(part, ast.FunctionDef) and part.decorator_list:
            if part.name != function:
                continue
            part.decorator_list = []
        kept.append(part)
    return hashlib.sha256(ast.unparse(ast.Module(kept, [])).encode()).hexdigest()


@cache
def _of_module(name: str) -> str:
    source = inspect.getsource(sys.modules[name])
    return hashlib.sha256(source.encode()).hexdigest()
