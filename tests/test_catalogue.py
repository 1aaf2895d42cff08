"""The catalogue page of the documentation is what the requirement records say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from conformance.requirements import load
from conformance.requirements.catalogue import render

ROOT: Final = Path(__file__).parent.parent
COMMAND: Final = "python -m conformance.requirements.catalogue > docs/catalogue.md"


def test_page_is_current() -> None:
    """The committed page is the one that the records make."""
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    assert page == render(load()), f"docs/catalogue.md is out of date; make it again with `{COMMAND}`"


def test_page_has_every_requirement() -> None:
    """Each record has one row on the page, with its sentence and its source."""
    rows = [line for line in render(load()).splitlines() if line.startswith("| ")]
    for record in load():
        [row] = [line for line in rows if line.startswith(f"| {record.id} | {record.level} |")]
        assert record.sentence in row
        assert f"]({record.source.link})" in row


def test_command_writes_the_page() -> None:
    """The command that the page names writes the page."""
    command = [sys.executable, "-m", "conformance.requirements.catalogue"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert written == render(load())
