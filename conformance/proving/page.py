"""The kill matrix for people: `python -m conformance.proving.page kill-matrix.json > docs/kill-matrix.md`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from conformance.proving import matrix
from conformance.proving.cells import Said
from conformance.proving.matrix import ClaimRow, Matrix

_SHOWN: Final = 6
"""How many names a line has before it says how many more there are."""


def lines(found: Matrix) -> Iterator[str]:
    """The page, line by line."""
    caught, promised = matrix.shares(found.claims)
    said = Counter(row.said for rows in found.cells.values() for row in rows.values())
    yield "# The kill matrix"
    yield ""
    yield "Made by `python -m conformance.proving.page FILE` from a `kill-matrix.json`; [proving.md](proving.md) says"
    yield "how that comes about and how it is read."
    yield ""
    yield f"- {len(found.faults)} faults, {sum(bool(row.killers) for row in found.faults.values())} of them caught."
    yield f"- {len(found.claims)} claims and invariants; of the judged claims {caught:.0%} catch a fault for their own"
    yield f"  expectation; {promised:.0%} of the claims are promised."
    yield f"- {sum(said.values())} cells: " + ", ".join(f"{said[each]} {each}" for each in Said if said[each]) + "."
    yield ""
    yield "## Red"
    yield ""
    yield from [f"- {line}" for line in found.red] or ["Nothing is red."]
    yield ""
    yield "## Faults"
    for name, row in found.faults.items():
        yield ""
        yield f"### {name}"
        yield ""
        yield row.wrong + (f" As in <{row.upstream}>." if row.upstream else "")
        yield ""
        yield f"Told in {row.stories} stories; caught by " + (_some(row.killers) if row.killers else "nothing") + "."
    yield ""
    yield "## Claims"
    yield ""
    yield "| Requirement | Claim | Catches | Fails also under |"
    yield "| --- | --- | --- | --- |"
    for id_, claim in sorted(found.claims.items(), key=lambda item: (item[1].requirement, item[0])):
        yield f"| {claim.requirement} | {_titled(id_, claim)} | {_some(claim.kills)} | {_some(claim.others)} |"


def _titled(id_: str, claim: ClaimRow) -> str:
    kind = ", promised" if claim.promised else ""
    return f"`{id_}`{kind}: {claim.sentence.replace('|', '/')}"


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def main() -> None:
    if len(sys.argv) != 2:
        print("usage: python -m conformance.proving.page KILL-MATRIX.JSON", file=sys.stderr)
        raise SystemExit(2)
    print("\n".join(lines(matrix.read(Path(sys.argv[1])))))


if __name__ == "__main__":
    main()
