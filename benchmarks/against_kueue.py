"""The reference against Kueue, side by side: the same scenes on the same machine, in turns, as ratios with spread.

`python benchmarks/against_kueue.py --pairs 5 --out FILE.json`. Each turn is a fresh local cluster with one of the two
on it; turns go A B, B A, A B …, so that a slow hour of the machine hits both. Of each number the median of both and the
median of the pairs' ratios (reference / Kueue) are shown, with the lowest and the highest; a difference that is smaller
than what two turns of one and the same implementation differ by (A-A) is called none. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measuring import busy_seconds, heading
from rich import box
from rich.console import Console
from rich.table import Table
from scenes import SCENES, Numbers, Player
from staging import Meter

REFERENCE: Final = "reference"
KUEUE: Final = "kueue"
Turn = dict[str, Numbers]
"""The numbers of each scene."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one scene over all pairs."""

    scene: str
    name: str
    reference: float
    kueue: float
    ratio: float
    lowest: float
    highest: float
    noise: float
    """The largest relative difference between two turns of one implementation that follow each other."""

    @property
    def differs(self) -> bool:
        return abs(self.ratio - 1) > self.noise


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=5, metavar="N", help="how many pairs of turns (default 5)")
    options.add_argument("--scene", action="append", choices=list(SCENES), help="only these (default: all)")
    options.add_argument("--out", type=Path, metavar="FILE", help="write all numbers here, as JSON, after each turn")
    given = options.parse_args()
    console = Console(width=140, highlight=False)
    heading(console, f"{given.pairs} pairs of turns")
    turns: dict[str, list[Turn]] = {REFERENCE: [], KUEUE: []}
    for number in range(given.pairs):
        for name in (REFERENCE, KUEUE) if number % 2 == 0 else (KUEUE, REFERENCE):
            load, began, busy = os.getloadavg()[0], time.monotonic(), busy_seconds()
            turns[name].append(take_turn(name, given.scene or list(SCENES), console))
            share = (busy_seconds() - busy) / ((time.monotonic() - began) * (os.cpu_count() or 1))
            console.print(
                f"  pair {number + 1}, {name}: {time.monotonic() - began:.0f} s, CPUs {share:.0%} busy, load {load:.1f}"
            )
            if given.out:
                given.out.write_text(json.dumps(turns, indent=1, sort_keys=True) + "\n")
    report(console, rows(turns[REFERENCE], turns[KUEUE]))


def take_turn(name: str, scenes: Sequence[str], console: Console) -> Turn:
    """Bring up a cluster with one implementation, play all scenes on it, end it."""
    from conformance.clusters.local import LocalCluster
    from conformance.components import choose, provide
    from conformance.implementations import open_implementation
    from conformance.kube import Kube

    components = provide(choose(None, None), say=lambda text: print(text, file=sys.stderr))
    cluster = LocalCluster(components)
    implementation = open_implementation(name, components=components)
    cluster.start(lambda: implementation.put_on(cluster))
    failed = True
    try:
        kube = Kube(cluster.kubeconfig, "kueue-lws-conformance/benchmark")
        player = Player(cluster, kube, Meter(cluster, name))
        turn: Turn = {}
        for scene in scenes:
            turn[scene] = SCENES[scene](player, f"bench-{scene}")
            console.print(f"    {name:10} {scene:16} " + ", ".join(f"{k} {v:.3g}" for k, v in turn[scene].items()))
        failed = False
        return turn
    finally:
        cluster.stop(failed=failed)


def rows(reference: Sequence[Turn], kueue: Sequence[Turn]) -> list[Row]:
    """Every number of every scene, compared pair by pair."""
    found: list[Row] = []
    for scene, numbers in reference[0].items():
        for name in numbers:
            ours, theirs = values(reference, scene, name), values(kueue, scene, name)
            ratios = [a / b for a, b in zip(ours, theirs, strict=True) if b]
            if ratios:
                found.append(
                    Row(
                        scene,
                        name,
                        statistics.median(ours),
                        statistics.median(theirs),
                        statistics.median(ratios),
                        min(ratios),
                        max(ratios),
                        max(noise(ours), noise(theirs)),
                    )
                )
    return found


def values(turns: Sequence[Mapping[str, Numbers]], scene: str, name: str) -> list[float]:
    return [turn[scene][name] for turn in turns]


def noise(of_one: Sequence[float]) -> float:
    """The median relative difference between turns of one implementation that follow each other; 0 for one turn."""
    pairs = [abs(a - b) / max(a, b) for a, b in itertools.pairwise(of_one) if max(a, b)]
    return statistics.median(pairs) if pairs else 0.0


def report(console: Console, found: Sequence[Row]) -> None:
    table = Table(title="reference / Kueue", title_justify="left", title_style="bold", box=box.MARKDOWN)
    for title in ("scene", "number"):
        table.add_column(title)
    for title in ("reference", "Kueue", "ratio", "lowest", "highest", "A-A"):
        table.add_column(title, justify="right")
    for row in found:
        ratio = f"{row.ratio:.2f}" if row.differs else f"none ({row.ratio:.2f})"
        numbers = (f"{row.reference:.3g}", f"{row.kueue:.3g}", ratio, f"{row.lowest:.2f}", f"{row.highest:.2f}")
        table.add_row(row.scene, row.name, *numbers, f"{row.noise:.0%}")
    console.print(table)


if __name__ == "__main__":
    main()
