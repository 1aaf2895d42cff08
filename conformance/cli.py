"""The console command. Each subcommand is a few lines over the module that does the work.

Exit codes of `run` and `judge`: README, "Exit codes". Every command answers a usage error with one sentence and 2.
"""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

import conformance
from conformance.errors import HarnessError, UsageError
from conformance.outcomes import ExitCode
from conformance.settings import OPTIONS, Option, Settings, settle

app = typer.Typer(
    name="kueue-lws-conformance",
    help="Does this cluster queue LeaderWorkerSets as Kueue documents it?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cluster_app = typer.Typer(help="A local cluster to play with, the same that `run` uses.", no_args_is_help=True)
components_app = typer.Typer(help="The real components: what is built, and where it is kept.", no_args_is_help=True)
app.add_typer(cluster_app, name="cluster")
app.add_typer(components_app, name="components")

PYTEST_OPTIONS = {
    "expression": ("-k", "only items whose name, requirement, area or feature matches this expression", str, None),
    "marks": ("-m", "only items with these marks: must, should, strict", str, None),
    "workers": ("-n", "tell stories in this many worker processes (pytest-xdist)", str, None),
}


def main() -> None:
    """The entry point."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        _refuse(error)
    except UsageError as error:
        _fail(str(error), ExitCode.USAGE)
    except HarnessError as error:
        _fail(str(error), ExitCode.UNDECIDED)
    except KeyboardInterrupt:
        _fail("interrupted", ExitCode.INTERRUPTED)
    raise SystemExit(code)


def _refuse(error: TyperException) -> NoReturn:
    """What is wrong with a command line, in one sentence; the help where no command was named at all."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in message:
        print(message)
        raise SystemExit(ExitCode.USAGE)
    command = context.command_path if context is not None else app.info.name
    end = " " if message.endswith("?") else "; "
    _fail(f"{message[0].lower()}{message[1:].rstrip('.')}{end}`{command} --help` tells more", ExitCode.USAGE)


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)


def _parameter(option: Option) -> inspect.Parameter:
    types: dict[str, Any] = {"text": str, "number": float, "count": int, "path": Path, "list": list[str], "flag": bool}
    wanted = types[option.type] | None
    shown = option.help + (f" [default: {option.default}]" if option.default not in (None, (), False) else "")
    declared = typer.Option(f"--{option.name}", help=shown, metavar=option.metavar or None, show_default=False)
    return inspect.Parameter(
        option.key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[wanted, declared]
    )


def _with_run_options(function: Any) -> Any:
    """Give a command the options of the one table, so that it and pytest can never differ."""
    own = [
        p
        for p in inspect.signature(function, eval_str=True).parameters.values()
        if p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    function.__signature__ = inspect.Signature([*own, *map(_parameter, OPTIONS)])
    function.__annotations__ = {p.name: p.annotation for p in function.__signature__.parameters.values()}
    return function


def _settings(given: dict[str, Any], config: Path | None = None) -> Settings:
    return settle({option.name: given.get(option.key) for option in OPTIONS}, file=config)


@app.command()
@_with_run_options
def run(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="a TOML file with the same keys")
    ] = None,
    expression: Annotated[
        str | None, typer.Option("-k", metavar="EXPRESSION", help=PYTEST_OPTIONS["expression"][1])
    ] = None,
    marks: Annotated[str | None, typer.Option("-m", metavar="MARKS", help=PYTEST_OPTIONS["marks"][1])] = None,
    workers: Annotated[str | None, typer.Option("-n", metavar="WORKERS", help=PYTEST_OPTIONS["workers"][1])] = None,
    verbose: Annotated[bool, typer.Option("-v", help="one line for each claim")] = False,
    **given: Any,
) -> None:
    """Tell the stories on a cluster, judge the claims, and write the results."""
    from conformance.running import run_and_report

    if workers is not None and not re.fullmatch(r"\d+|auto|logical", workers):
        raise UsageError(f"-n {workers}: how many worker processes? Write a number, or auto for one per core")
    pytest_arguments = [
        part for flag, value in (("-k", expression), ("-m", marks), ("-n", workers)) if value for part in (flag, value)
    ]
    code = run_and_report(
        _settings(given, config),
        pytest_arguments,
        verbose=verbose,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    raise typer.Exit(code)


@app.command()
def judge(
    results: Annotated[Path, typer.Argument(help="the results folder of a run")],
    fail_on: Annotated[str, typer.Option(help="exit with 1 if a requirement of this level or above failed")] = "MUST",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="also write result.json to this folder")] = None,
) -> None:
    """Judge a recorded run again, without a cluster."""
    from conformance.running import judge_and_report

    raise typer.Exit(judge_and_report(results, fail_on=fail_on, out=out))


@app.command(name="list")
@_with_run_options
def list_(
    *,
    what: Annotated[str, typer.Argument(help="requirements, claims or stories")] = "requirements",
    **given: Any,
) -> None:
    """Show the catalogue, and what would happen to each entry with these options and why."""
    from conformance.listing import show

    show(what, _settings(given))


@app.command()
def prove(
    everything: Annotated[bool, typer.Option("--all", help="tell every story under every fault")] = False,
    own: Annotated[
        bool, typer.Option("--own", help="tell as little as shows of each claim one fault it catches")
    ] = False,
    known: Annotated[
        Path | None, typer.Option("--matrix", metavar="FILE", help="with --own: a matrix that says what caught what")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="show the faults and what must catch them; run nothing")
    ] = False,
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only this fault (repeatable)")] = None,
    claim: Annotated[list[str] | None, typer.Option(metavar="ID", help="only this claim (repeatable)")] = None,
    requirement: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="only claims of this requirement (repeatable)")
    ] = None,
    story: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only this story (repeatable)")] = None,
    profile: Annotated[str, typer.Option(metavar="NAME", help="only claims of this profile's requirements")] = "full",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="results; cells that it has already are not told again")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="go on in the results folder of an earlier prove")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="faults at once [default: 2 per core]")
    ] = None,
    stories_at_once: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="stories at once over all faults [default: 8 per core]")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="keep the recorded histories of all stories")] = False,
    slow: Annotated[float, typer.Option(metavar="FACTOR", help="multiply every deadline by this")] = 1.0,
    kueue_version: Annotated[str | None, typer.Option(metavar="VERSION", help="whose CRDs are used")] = None,
    lws_version: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    store: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None,
) -> None:
    """Try faulty implementations: does each claim fail for the one thing that it is about?

    Without --all or --own each fault is told the stories of the claims that must catch it, and five others.
    """
    from conformance.proving.command import Asked, show_faults
    from conformance.proving.command import prove as try_faults

    if listed:
        raise typer.Exit(show_faults(fault or ()))
    given = {
        "implementation": "reference",
        "profile": profile,
        "requirement": requirement,
        "story": story,
        "out": out,
        "stories-at-once": stories_at_once,
        "slow": slow,
        "kueue-version": kueue_version,
        "lws-version": lws_version,
        "store": store,
    }
    asked = Asked(fault or (), claim or (), everything, own, known, at_once, resume, trace)
    raise typer.Exit(try_faults(settle(given), asked))


@app.command()
def doctor(
    kubeconfig: Annotated[Path | None, typer.Option(metavar="FILE", help="also check this kubeconfig")] = None,
    store: Annotated[Path | None, typer.Option(metavar="FOLDER", help="where built components are kept")] = None,
) -> None:
    """Check what a run needs: one line each. Exit code 0, or 2 if something is missing."""
    from conformance.doctor import examine

    checks = examine(kubeconfig=kubeconfig, store=store)
    for check in checks:
        print(f"{'ok' if check.ok else 'NO':3} {check.name:12} {check.text}")
    raise typer.Exit(ExitCode.OK if all(check.ok for check in checks) else ExitCode.USAGE)


@app.command()
def clean(
    kubeconfig: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the cluster to clean; else that of `cluster up`")
    ] = None,
    run_name: Annotated[str | None, typer.Option("--run", metavar="RUN", help="only what this run left")] = None,
    slow: Annotated[float, typer.Option(metavar="FACTOR", help="multiply the deadline by this")] = 1.0,
) -> None:
    """Remove from a cluster what runs that were killed left on it."""
    from conformance.running import clean_cluster

    raise typer.Exit(clean_cluster(kubeconfig, run_name, slow))


@app.command()
def version() -> None:
    """Show the versions of the suite and of what it would judge by default."""
    from conformance.components.lines import DEFAULT

    print(f"kueue-lws-conformance {conformance.__version__}")
    print(f"default release line: {DEFAULT}")


@cluster_app.command("up")
def cluster_up(
    implementation: Annotated[
        str | None, typer.Option(metavar="NAME", help="what queues on it: kueue or reference [default: kueue]")
    ] = None,
    kueue_version: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    lws_version: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    kueue_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="merged over our Kueue configuration")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="of the API server; a free one if not given")] = None,
    store: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None,
) -> None:
    """Start a local cluster with LWS and Kueue, or the reference in its place, and leave it running."""
    from conformance.running import cluster_up as start

    given = {
        "implementation": implementation,
        "kueue_version": kueue_version,
        "lws_version": lws_version,
        "kueue_config": kueue_config,
        "port": port,
        "store": store,
    }
    start(_settings(given))


@cluster_app.command("status")
def cluster_status() -> None:
    """Show the cluster that is up, and whether all of it is well."""
    from conformance.running import cluster_status as show

    raise typer.Exit(show())


@cluster_app.command("down")
def cluster_down() -> None:
    """End the cluster that is up."""
    from conformance.clusters import standing

    print(f"ended the cluster in {standing.down()}")


@components_app.command("list")
def components_list(store: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None) -> None:
    """Show every component that is built or can be."""
    from conformance.running import list_components

    list_components(store)


@components_app.command("build")
def components_build(
    kueue_version: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    lws_version: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    kueue_from: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="checkout, module version or BINARY:MANIFEST")
    ] = None,
    lws_from: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="checkout, module version or BINARY:MANIFEST")
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None,
) -> None:
    """Build what a release line needs, without running anything."""
    from conformance.running import build_components

    given = {
        "kueue_version": kueue_version,
        "lws_version": lws_version,
        "kueue_from": kueue_from,
        "lws_from": lws_from,
        "store": store,
    }
    build_components(_settings(given))


@components_app.command("prune")
def components_prune(
    everything: Annotated[bool, typer.Option("--all", help="remove the default release line too")] = False,
    store: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None,
) -> None:
    """Remove what the default release line does not need, and Go's caches."""
    from conformance.running import prune_components

    prune_components(everything, store)
