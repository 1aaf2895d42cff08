"""The index of published runs: `python -m conformance.report.published reports > reports/README.md`.

`scripts/publish` makes the runs. This reads the `result.json` in each folder and says what was judged, by which
command, and what did not pass. Same results, same bytes but for the machine, which is the one that it runs on.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from conformance.outcomes import Level, Outcome
from conformance.report import model, words
from conformance.report.building import FILE, natural, read_result

OTHERS: Final = {
    "kill-matrix.json": "which claim catches which faulty implementation, by `prove`; as a page:"
    " [kill-matrix.md](../docs/kill-matrix.md)",
    "endurance-kueue.md": "ten runs of `core` in a row on Kueue, by `benchmarks/endurance.py`",
    "endurance-reference.md": "ten runs of `core` in a row on the reference",
    "core-profile.txt": "what a run of `core` costs and for what, by `benchmarks/page_profile.py`",
}
"""What else is published beside the runs: file to meaning."""
COLUMNS: Final = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.INCONCLUSIVE,
    Outcome.KNOWN_DEVIATION,
    Outcome.UNSUPPORTED,
    Outcome.NOT_TESTABLE,
)
_UNREMARKABLE: Final = (Outcome.PASSED, Outcome.NOT_SELECTED, Outcome.UNSUPPORTED, Outcome.NOT_TESTABLE)
_GIB: Final = 1024**3


def lines(results: Mapping[str, model.Result], machine: str, others: Iterable[str] = ()) -> Iterator[str]:
    """The index, line by line; `results` by the name of their folder, `others` the names of files beside them."""
    yield "# Published runs"
    yield ""
    yield f"Made by `scripts/publish` on one machine: {machine}. Each folder has the `result.json`"
    yield "of a run; its command is below. Requirements by outcome:"
    yield ""
    outcomes = [words.OUTCOME[each] for each in COLUMNS]
    heads = ["run", "Kubernetes", "LWS", "profile", *outcomes, "stories", "claims", "seconds"]
    yield _row(heads)
    yield _row(["---"] * 4 + ["---:"] * (len(heads) - 4))
    for name, result in results.items():
        yield _row(_cells(name, result))
    yield ""
    yield "With `--ignore-versions` a release is judged also by what is documented only since a later one;"
    yield "[releases.md](../docs/releases.md) says which fix each failure is about."
    present = [name for name in OTHERS if name in set(others)]
    if present:
        yield ""
        yield "Beside them, on the same machine:"
        yield ""
        yield from [f"- [{name}]({name}): {OTHERS[name]}" for name in present]
    for name, result in results.items():
        yield ""
        yield f"## {name}"
        yield ""
        yield f"{result.run.started:%Y-%m-%d %H:%M} UTC, `{result.run.command}`. {_musts(result)}"
        rest = list(_not_passed(result))
        if rest:
            yield ""
            yield from rest


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, result: model.Result) -> list[str]:
    run = result.run
    seconds = f"{(run.finished - run.started).total_seconds():.0f}" if run.finished else "interrupted"
    counts = [str(result.summary.get(outcome, 0)) for outcome in COLUMNS]
    claims = str(sum(len(requirement.claims) for requirement in result.requirements))
    where = [result.cluster.kubernetes, result.cluster.lws, run.profile]
    return [f"[{name}]({name}/{FILE})", *where, *counts, str(len(result.stories)), claims, seconds]


def _musts(result: model.Result) -> str:
    musts = [one for one in words.selected(result) if one.level is Level.MUST]
    claimed = sum(bool(one.claims) for one in musts)
    return f"{claimed} of {len(musts)} MUST requirements were claimed."


def _not_passed(result: model.Result) -> Iterator[str]:
    """A line for each requirement and invariant that neither passed nor was left out."""
    for one in result.requirements:
        if one.outcome not in _UNREMARKABLE:
            claims = [claim for claim in one.claims if claim.outcome is one.outcome]
            why = one.deviation.issue if one.deviation else one.reason
            told = f" ({', '.join(claim.story for claim in claims)})" if claims else ""
            yield f"- {one.id} {words.OUTCOME[one.outcome]}{told}" + (f": {why}" if why else "")
    for invariant in result.invariants:
        for violation in invariant.violations:
            issue = f": {violation.deviation.issue}" if violation.deviation else ""
            yield f"- {invariant.name} {words.OUTCOME[violation.outcome]} ({violation.story}){issue}"


def machine() -> str:
    """What this machine has, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    cores = words.counted(os.cpu_count() or 1, "core")
    return f"{platform.system()} {platform.machine()}, {cores}, {memory:.0f} GiB"


def published(folder: Path) -> dict[str, model.Result]:
    """The results in the folders of this one, by name. Raises UsageError for one that cannot be read."""
    names = sorted((path.parent.name for path in folder.glob(f"*/{FILE}")), key=natural)
    return {name: read_result(folder / name) for name in names}


def main() -> None:
    if len(sys.argv) != 2:
        print("usage: python -m conformance.report.published FOLDER", file=sys.stderr)
        raise SystemExit(2)
    folder = Path(sys.argv[1])
    print("\n".join(lines(published(folder), machine(), [path.name for path in folder.iterdir()])))


if __name__ == "__main__":
    main()
