"""The pytest plugin: options, collection of stories and claims, outcomes, and the life time of what a run needs.

Inert unless `--conformance-cluster` is given. `pytest --pyargs conformance.suites --conformance-cluster local` judges;
the console command drives the same hooks.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance.errors import HarnessError, UsageError
from conformance.settings import OPTIONS, Settings, settle

if TYPE_CHECKING:
    from conformance.session import Session

PREFIX = "--conformance-"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "queueing LeaderWorkerSets with Kueue")
    group.addoption(f"{PREFIX}config", metavar="FILE", type=Path, help="a TOML file with the keys below")
    for option in OPTIONS:
        name, key = PREFIX + option.name, f"conformance_{option.key}"
        if option.type == "flag":
            group.addoption(name, dest=key, action="store_true", default=None, help=option.help)
        elif option.type == "list":
            group.addoption(name, dest=key, action="append", default=None, metavar=option.metavar, help=option.help)
        else:
            group.addoption(name, dest=key, default=None, metavar=option.metavar, help=option.help)


def settings_of(config: pytest.Config) -> Settings:
    """The settings of a pytest invocation."""
    given = {option.name: config.getoption(f"conformance_{option.key}") for option in OPTIONS}
    folder = Path(config.invocation_params.dir)
    return settle(given, file=config.getoption("conformance_config"), folder=folder)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("conformance_cluster") is None:
        _refuse_idle_options(config)
        return
    for level in ("must", "should", "strict"):
        config.addinivalue_line("markers", f"{level}: claims of requirements of this level")
    from conformance.session import SESSION

    try:
        session = _session(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    if session.settings.fail_fast:
        config.option.maxfail = 1
    config.stash[SESSION] = session
    config.pluginmanager.import_plugin("conformance.fixtures")
    config.pluginmanager.register(Conduct(session), "conformance-conduct")


def _refuse_idle_options(config: pytest.Config) -> None:
    for name in ("config", *(option.name for option in OPTIONS)):
        if config.getoption(f"conformance_{name.replace('-', '_')}") is not None:
            raise pytest.UsageError(f"{PREFIX}{name} does nothing without {PREFIX}cluster; add it")


def _session(config: pytest.Config) -> Session:
    from conformance import premises
    from conformance.session import Session

    settings = settings_of(config)
    given = getattr(config, "workerinput", None)
    if given is not None:
        from conformance.workers import FOLDER, WorkerSession

        return WorkerSession(settings, Path(given[FOLDER]), given["workerid"])
    if not config.option.collectonly:
        premises.check(settings)
    session = Session(settings, _command(config))
    if config.getoption("numprocesses", None):
        from conformance.workers import Controller

        config.pluginmanager.register(Controller(session), "conformance-controller")
    return session


def _command(config: pytest.Config) -> str:
    return shlex.join(["pytest", *map(str, config.invocation_params.args)])


def _say(reporter: Any, text: str) -> None:
    reporter.ensure_newline()
    reporter.write_line(text)


class Conduct:
    """The hooks of a run that judges."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def pytest_pycollect_makeitem(self, collector: pytest.Collector, obj: object) -> pytest.Collector | None:
        from conformance.collecting import make_item

        return make_item(collector, obj)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        from conformance.world.story import claim_of

        declared = claim_of(metafunc.function)
        if declared is not None and len(declared.stories) > 1:
            names = [story.name for story in declared.stories]
            metafunc.parametrize("told", declared.stories, ids=names, indirect=True)

    # First of all, since -k looks for the requirement ids that are given to the items here.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from conformance.collecting import arrange
        from conformance.requirements import load
        from conformance.selecting import selection

        try:
            catalogue = load()
            chosen = selection(self.session.settings, catalogue)
            arrange(config, items, catalogue, self.session.here(), chosen, self.session.settings.story)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self.session.say = partial(_say, reporter)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        from conformance.reporting import note_unjudged, to_judge
        from conformance.workers import take_back

        controls = session.config.pluginmanager.has_plugin("conformance-controller")
        if session.config.option.collectonly or session.testsfailed or not (session.items or controls):
            return (yield)
        try:
            self._begin(session, controls)
        except (UsageError, HarnessError) as error:
            self.session.problem = str(error)
            pytest.exit(str(error), returncode=2)
        self.session.to_judge = to_judge(session.items)
        try:
            return (yield)
        finally:
            # -x ends a run with a kind of KeyboardInterrupt too; Ctrl-C is the plain one.
            interrupted = sys.exc_info()[0] is KeyboardInterrupt
            self.session.cancel("the run is being ended")
            self.session.end(interrupted=interrupted, last=partial(note_unjudged, self.session))
            if controls:
                take_back(self.session.folder)

    def _begin(self, session: pytest.Session, controls: bool) -> None:
        from conformance.collecting import stories_in_order
        from conformance.workers import hand_over, tell_broken

        if not controls:
            self.session.begin(stories_in_order(session.items))
            return
        self.session.on_broken = lambda message: tell_broken(self.session.folder, message)
        try:
            self.session.begin([], for_workers=True)
            hand_over(self.session)
        except (UsageError, HarnessError) as error:
            tell_broken(self.session.folder, str(error))
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        from conformance.reporting import settle_report

        report = yield
        return settle_report(self.session, item, call, report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from conformance.reporting import record

        record(self.session, report)
        if report.outcome == "failed":
            self.session.failed = True

    def pytest_keyboard_interrupt(self) -> None:
        self.session.cancel("the run was interrupted")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from conformance.reporting import write_results

        if self.session.log is None or not self.session.came_up:
            return
        problem = write_results(self.session)
        if problem is not None:
            self.session.problem = self.session.problem or problem
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.session.came_up:  # else pytest itself says why it ended
            if self.session.problem is not None:
                terminalreporter.write_line(f"error: {self.session.problem}", red=True)
            terminalreporter.write_line(f"conformance results: {self.session.folder}")

    def pytest_report_header(self) -> str:
        chosen = self.session.settings
        return f"conformance: {chosen.implementation} on {chosen.cluster}, profile {chosen.profile}"
