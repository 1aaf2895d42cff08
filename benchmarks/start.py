"""How long a warm start takes, from the command to webhooks that answer, and which step takes how much of it.

`python benchmarks/start.py --times 5`. Each start is a process of its own that does what `run` does before it tells the
first story: it loads the suite, collects the claims, finds the components in the store, and brings the cluster up with
LWS and Kueue on it. Steps that overlap are shown by the moment at which each is done. Where a run's time goes as a
whole is the business of `page_profile.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from unittest.mock import patch

from measuring import busy_seconds, gathered, heading, medians, table
from rich.console import Console

BEGAN: Final = "BENCHMARK_BEGAN"
"""Seconds since the epoch at which a start's process was started, in its environment."""
MARK: Final = "start-marks "
"""What the line with a start's marks begins with; everything else that it prints is for people."""
STARTED: Final = {
    "kube-apiserver": "etcd runs, keys are made",
    "lws": "LWS: manifests are applied, CRDs served",
    "kueue": "Kueue: manifests are applied, CRDs served",
}
"""What has been done when a component is about to be started."""
TIMED: Final = {
    "api-server": "the API server answers",
    "rest-started": "controller manager, scheduler and KWOK are started",
    "lws": "LWS: every webhook answers",
}
"""What has been done at the end of a phase that the cluster times itself."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--times", type=int, default=5, metavar="N", help="how many starts (default 5)")
    options.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.once:
        print(MARK + json.dumps(start_once()))
        return
    console = Console(width=120, highlight=False)
    heading(console, f"{given.times} warm starts")
    runs: list[dict[str, float]] = []
    for number in range(1, given.times + 1):
        load, began, busy, own = os.getloadavg()[0], time.time(), busy_seconds(), cpu_of_children()
        runs.append(start_in_a_process())
        others = (busy_seconds() - busy - cpu_of_children() + own) / ((time.time() - began) * (os.cpu_count() or 1))
        console.print(
            f"  start {number}: {max(runs[-1].values()):.2f} s; others used {max(0.0, others):.0%} of the machine "
            f"(load average before: {load:.1f})"
        )
    console.print(table("Seconds after the command", in_order(gathered(runs)), digits=2, part_of=steps(runs)))


def start_in_a_process() -> dict[str, float]:
    """The marks of one start: what was done, and how many seconds after the command."""
    argv = [sys.executable, __file__, "--once"]
    env = os.environ | {BEGAN: repr(time.time())}
    answer = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True)
    marks = marks_in(answer.stdout)
    if answer.returncode or not marks:
        raise SystemExit(f"the start failed with exit code {answer.returncode}; it printed:\n{answer.stdout}")
    return marks


def cpu_of_children() -> float:
    """CPU-seconds of every process that this one started and that has ended, with all that it started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def marks_in(output: str) -> dict[str, float]:
    """The marks that a start printed; empty if it did not come to its end."""
    found = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    marks: dict[str, float] = json.loads(found[-1]) if found else {}
    return marks


def in_order(rows: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """The marks in the order in which they usually come."""
    middle = medians(rows)
    return {name: rows[name] for name in sorted(rows, key=lambda name: middle[name])}


def steps(runs: list[dict[str, float]]) -> dict[str, float]:
    """The share of the whole that passed between a mark and the one before it, by the medians of both."""
    ordered = medians(in_order(gathered(runs)))
    moments = list(ordered.values())
    parts = [moments[0], *(later - earlier for earlier, later in itertools.pairwise(moments))]
    return {name: part / moments[-1] for name, part in zip(ordered, parts, strict=True)}


def start_once() -> dict[str, float]:
    """Start as `run` does, in this process; stop again; the marks."""
    began = float(os.environ[BEGAN])
    marks: dict[str, float] = {}

    def mark(name: str) -> None:
        marks[name] = time.time() - began

    mark("Python runs")
    collect()
    mark("claims and stories are collected")
    from conformance.clusters import local
    from conformance.clusters.processes import Processes, Program
    from conformance.components import choose, provide
    from conformance.implementations import open_implementation

    class Watched(Processes):
        """The cluster's processes, with a mark before each start."""

        def start(self, program: Program, *, tentative: bool = False) -> None:
            if program.name in STARTED:
                mark(STARTED[program.name])
            super().start(program, tentative=tentative)

    components = provide(choose(None, None), say=lambda text: print(text, file=sys.stderr))
    mark("components are found in the store")
    cluster = local.LocalCluster(components)
    implementation = open_implementation("kueue", components=components)

    def put_on() -> None:
        implementation.put_on(cluster)
        mark("Kueue: every webhook answers")

    before = time.time() - began
    with patch.object(local, "Processes", Watched):
        cluster.start(put_on)
    marks.update({TIMED[phase]: before + seconds for phase, seconds in cluster.timings.items() if phase in TIMED})
    cluster.stop(failed=False)
    return marks


def collect() -> None:
    """Load what `run` loads and collect what it collects, without a line of output."""
    import pytest

    from conformance import running

    arguments = ["-c", str(running.INI), "--pyargs", "conformance.suites", "-p", "no:terminal", "--collect-only"]
    code = pytest.main([*arguments, "-p", "no:pytest-kind-ng", "-p", "no:cacheprovider", "--conformance-cluster=local"])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the suites cannot be collected: pytest ended with {code}")


if __name__ == "__main__":
    if not Path("conformance").is_dir():
        print("hint: run this from the checkout, so that it measures what is there", file=sys.stderr)
    main()
