"""What the console command does: run pytest with our reporter, judge again, keep a cluster, look after components."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from conformance import premises
from conformance.components import Components
from conformance.deadlines import Deadlines
from conformance.errors import HarnessError, UsageError
from conformance.kube import ApiError, Kube
from conformance.names import RUN_LABEL
from conformance.outcomes import ExitCode, Level
from conformance.report import exitcode, terminal
from conformance.report.building import write_result
from conformance.settings import OPTIONS, Settings

INI = Path(__file__).with_name("pytest.ini")


def run_and_report(settings: Settings, pytest_arguments: list[str], *, verbose: bool, command: str) -> int:
    """Run the suite and print the report; the exit code. Raises UsageError for what is wrong before anything starts."""
    from conformance.console import ConsoleReporter

    # What CI sends to end a job; it gets the way of Ctrl-C, so that nothing is left on a cluster that is not ours.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = terminal.console_for()
    premises.check(settings)
    premises.check_selection(settings)
    if settings.cluster == "local" and not settings.reuse:
        provided(settings, console)
    reporter = ConsoleReporter(console, settings, verbose=verbose, command=command)
    arguments = ["-c", str(INI), "--pyargs", "conformance.suites", "-p", "no:terminal", "-p", "no:pytest-kind-ng"]
    arguments += ["-p", "no:cacheprovider", *_as_pytest_options(settings), *pytest_arguments]
    if not _is_loaded_by_itself():
        arguments += ["-p", "conformance.plugin"]
    code = pytest.main(arguments, plugins=[reporter])
    if code == pytest.ExitCode.USAGE_ERROR:  # of -k, -m or -n; pytest has said what is wrong
        return ExitCode.USAGE
    if code == pytest.ExitCode.INTERNAL_ERROR:
        reporter.problems.append("the suite itself broke; please report it with the lines above")
    return reporter.conclude()


def _is_loaded_by_itself() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "conformance.plugin" for point in entry_points(group="pytest11"))


def _as_pytest_options(settings: Settings) -> list[str]:
    options: list[str] = []
    for option in OPTIONS:
        value = getattr(settings, option.key)
        name = f"--conformance-{option.name}"
        if option.type == "flag":
            options += [name] if value else []
        elif option.type == "list":
            options += [f"{name}={part}" for part in value]
        elif value is not None:
            options.append(f"{name}={value}")
    return options


def provided(settings: Settings, console: Console) -> Components:
    """The components of the chosen line, with a progress display while something has to be built."""
    from conformance.components import choose, provide
    from conformance.components.progress import display
    from conformance.implementations import unbuilt

    line = choose(settings.kueue_version, settings.lws_version)
    with display(console) as show:
        return provide(
            line,
            kueue_from=settings.kueue_from,
            lws_from=settings.lws_from,
            store=settings.store,
            unbuilt=unbuilt(settings.implementation),
            say=lambda text: console.print(text),
            show=show,
        )


def judge_and_report(results: Path, *, fail_on: str, out: Path | None) -> int:
    """Judge a results folder again and print the report; the exit code."""
    from conformance.rejudging import judge_again
    from conformance.requirements import load

    if fail_on.upper() not in list(Level):
        raise UsageError(f"unknown level {fail_on!r}; choose one of: {', '.join(Level)}")
    result = judge_again(results)
    decision = exitcode.decide(result, fail_on=Level(fail_on.upper()))
    terminal.print_report(terminal.console_for(), result, decision, load(), results=results)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write {out}: {error.strerror}; name another folder with --out") from error
        write_result(out, result)
    return decision.code


def cluster_up(settings: Settings) -> None:
    """Start a standing cluster and say how to use it."""
    from conformance.clusters import standing
    from conformance.implementations import open_implementation

    components = provided(settings, terminal.console_for())
    implementation = open_implementation(settings.implementation, components=components, config=settings.kueue_config)
    made = standing.up(components, implementation, deadlines=Deadlines(settings.slow), port=settings.port)
    _print_standing(made)
    print("run:         kueue-lws-conformance run --reuse --implementation installed")
    print("end it with: kueue-lws-conformance cluster down")


def cluster_status() -> int:
    """Print what is up; 0 if all of it is well."""
    from conformance.clusters import standing

    found = standing.status()
    if found is None:
        raise UsageError(standing.NONE_UP)
    _print_standing(found)
    for death in found.deaths:
        print(f"dead: {death}")
    return ExitCode.UNDECIDED if found.deaths else ExitCode.OK


def _print_standing(found: Any) -> None:
    print(
        f"cluster:     {found.implementation['name']} {found.implementation['version']}, "
        f"Kubernetes {found.cluster['kubernetes']}"
    )
    print(f"kubeconfig:  export KUBECONFIG={found.kubeconfig}")
    print(f"kubectl:     {found.kubectl}")
    print(f"logs:        {found.folder}/logs")


def clean_cluster(kubeconfig: Path | None, run: str | None, slow: float) -> int:
    """Remove what carries our labels; 0 if nothing is left."""
    from conformance.clusters import standing
    from conformance.world.cleaning import sweep

    if kubeconfig is None:
        found = standing.status()
        if found is None:
            raise UsageError("no cluster is up to clean; name one with --kubeconfig FILE")
        kubeconfig = found.kubeconfig
    selector = f"{RUN_LABEL}={run}" if run else RUN_LABEL
    try:
        left = sweep(Kube(kubeconfig, "kueue-lws-conformance/clean"), selector, seconds=Deadlines(slow)["cleanup"])
    except ApiError as error:
        raise HarnessError(str(error)) from error
    if left:
        raise HarnessError(f"still there: {', '.join(left)}; look at their finalizers, or allow more time with --slow")
    print("nothing of ours is left")
    return ExitCode.OK


def list_components(store: Path | None) -> None:
    """Print a line for each component."""
    from conformance.components.inventory import inventory

    for row in inventory(store):
        state = f"{row.size / 1e6:5.0f} MB  {row.path}" if row.built else "not built"
        print(f"{'*' if row.default else ' '} {row.component:12} {row.version:10} {row.source:12} {state}")
    print("* belongs to the default release line")


def build_components(settings: Settings) -> None:
    """Build a line and say where it is."""
    components = provided(settings, terminal.console_for())
    for name, entry in sorted(components.entries.items()):
        print(f"{name:12} {entry.made.version:10} {entry.path}")


def prune_components(everything: bool, store: Path | None) -> None:
    """Remove entries and say what was freed."""
    from conformance.components.inventory import prune

    print(f"freed {prune(everything=everything, store=store) / 1e6:.0f} MB")
