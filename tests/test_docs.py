"""What README.md and docs/ say is so: the options, the links, the commands, the picture, the failure that is shown."""

from __future__ import annotations

import importlib.util
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

import report_samples as samples
from conformance.cli import app
from conformance.outcomes import ExitCode, Level, Outcome
from conformance.plugin import PREFIX
from conformance.report import terminal
from conformance.report.building import claim_of, write_result
from conformance.report.log import RunLog
from conformance.requirements import load
from conformance.requirements.records import PROFILES
from conformance.selecting import selection
from conformance.settings import BY_NAME, OPTIONS, SECTION, settle
from conformance.suite import whole_suite
from conformance.trace.records import Fence, Header, Record, StoryStarted, encode

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
PAGES: Final = [README, *sorted((ROOT / "docs").glob("*.md"))]
COMMAND: Final[Any] = typer.main.get_command(app)
LOADS: Final = re.compile(r"url\(.?http|@import")
"""What makes a picture ask a server for more."""
OF_PYTHON: Final = re.compile(r"\.venv/bin/python (-m )?(\S+)")


def code_blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [content for _, language, content in found if language in languages]


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line that a page shows, without its comment."""
    for page in PAGES:
        for block in code_blocks(page, "sh"):
            for line in filter(None, map(str.strip, block.splitlines())):
                yield page.name, shlex.split(line, comments=True)


SHOWN: Final = [command for _, command in shown_commands()]


def ours(words: list[str]) -> list[str] | None:
    """The arguments of our console command, if this is how it is called."""
    words = words[: words.index(">")] if ">" in words else words
    match words[0].rpartition("/"):
        case "scripts", _, "conformance":
            return ["run", *words[1:]]
        case "" | ".venv/bin", _, "kueue-lws-conformance":
            return words[1:]
    return None


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# Options


def options_of_run() -> dict[str, tuple[str, str, str]]:
    """Each option of `run`: how it is written, its meaning, its default."""
    found = {}
    for parameter in COMMAND.commands["run"].params:
        flag = max(parameter.opts, key=len)
        if flag != "--help":
            option = BY_NAME.get(flag.removeprefix("--"))
            default = f"`{option.default}`" if option and option.default not in (None, (), False) else ""
            meaning = parameter.help.removesuffix(f" [default: {default.strip('`')}]")
            found[flag] = (f"{flag} {parameter.metavar or ''}".strip(), meaning, default)
    return found


def options_of_readme() -> list[tuple[str, str, str]]:
    rows = re.findall(r"^\| `(-[^`]+)` \| (.+?) \| (.*?) ?\|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    return [(written, meaning, default) for written, meaning, default in rows]


def test_readme_has_every_option_with_its_meaning_and_default() -> None:
    """README's tables of options have each option of `run` once, as its help has it, and no other."""
    assert sorted(options_of_readme()) == sorted(options_of_run().values())


def test_every_option_of_the_one_table_is_an_option_of_run() -> None:
    """What README is compared with is the one table of options."""
    assert {f"--{option.name}" for option in OPTIONS} <= options_of_run().keys()


def test_options_that_list_does_not_take_are_in_the_last_table() -> None:
    """README says of which options `list` takes all: those are the options that it takes."""
    before, _, rest = README.read_text(encoding="utf-8").partition("From here on the options are those of `run` alone:")
    alone = {flag for flag in options_of_run() if f"\n| `{flag}" in rest}
    assert alone == options_of_run().keys() - {max(p.opts, key=len) for p in COMMAND.commands["list"].params}
    assert all(f"\n| `{flag}" in before for flag in options_of_run().keys() - alone)


@pytest.mark.parametrize("block", code_blocks(README, "toml"))
def test_a_shown_file_is_accepted(block: str, tmp_path: Path) -> None:
    """A configuration that README shows is one that a run accepts, and it changes something."""
    file = tmp_path / "options.toml"
    file.write_text(block, encoding="utf-8")
    assert SECTION in tomllib.loads(block)["tool"]
    shown = settle({}, file=file, folder=tmp_path)
    assert shown != settle({}, folder=tmp_path)
    selection(shown, load())


# Words


@pytest.mark.parametrize("word", [*Outcome, *Level, *PROFILES])
def test_readme_explains_every_word_of_a_verdict(word: str) -> None:
    """Each outcome, level and profile has a row in README."""
    assert re.search(rf"^\| `?{re.escape(word)}`? \|", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_readme_has_every_exit_code_in_the_order_of_decision() -> None:
    """README's exit codes are those of the command, in the order in which they are decided."""
    section = README.read_text(encoding="utf-8").partition("### Exit codes")[2].partition("\n#")[0]
    shown = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    order = ["INTERRUPTED", "USAGE", "FAILED", "UNDECIDED", "NOTHING", "OK"]
    assert shown == [getattr(ExitCode, name) for name in order]
    assert set(order) == {name for name in vars(ExitCode) if name.isupper()}


# Links and paths


def links() -> list[tuple[Path, str]]:
    found = [(page, re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))) for page in PAGES]
    return [(page, link) for page, targets in found for link in targets if "://" not in link]


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda part: part.name if isinstance(part, Path) else part)
def test_relative_links_lead_somewhere(page: Path, link: str) -> None:
    """A link to a file of the project has that file, and the heading if it names one."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    assert target.exists()
    assert target.is_relative_to(ROOT)
    assert not anchor or anchor in headings(target)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "run.svg"], ids=lambda page: page.name)
def test_no_path_of_a_machine_is_named(page: Path) -> None:
    """The documentation names no absolute path: it would be one of the machine that it was written on."""
    text = re.sub(r"\w+://[^\s)\]\"'`]+", "", page.read_text(encoding="utf-8"))
    assert re.findall(r"(?<![\w.~>/<}$-])/[a-z]\w*[^\s`]*", text) == []


# Code and commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_code_is_code_of_the_project(page: Path) -> None:
    """Python and YAML in the documentation stand like that in the suite, in its tests or in its records."""
    folders = [ROOT / "conformance" / "suites", ROOT / "tests", ROOT / "conformance" / "requirements"]
    files = [file for folder in folders for file in sorted(folder.glob("*")) if file.suffix in (".py", ".yaml")]
    written = " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in files)
    assert [block for block in code_blocks(page, "python", "yaml") if " ".join(block.split()) not in written] == []


@pytest.mark.parametrize("words", [words for words in SHOWN if ours(words)], ids=shlex.join)
def test_a_shown_command_is_one_that_there_is(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command in the documentation parses, and names options, values, requirements and stories that exist."""
    monkeypatch.chdir(tmp_path)
    arguments = [part for part in ours(words) or [] if part != "--help"]
    command = COMMAND
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    given = command.make_context(command.name, arguments).params
    chosen = settle({option.name: given.get(option.key) for option in OPTIONS}, folder=tmp_path)
    selection(chosen, load())
    assert set(chosen.story) <= {story.name for story in whole_suite().stories}


@pytest.mark.parametrize("words", [words for words in SHOWN if not ours(words)], ids=shlex.join)
def test_a_shown_command_of_the_checkout_is_there(words: list[str]) -> None:
    """Every other command is a script of the checkout or a tool in its .venv, on files and options that exist."""
    line = shlex.join(words)
    if words[0].startswith("scripts/"):
        assert (ROOT / words[0]).is_file()
    elif found := OF_PYTHON.match(line):
        name = found[2].replace(".", "/") if found[1] else found[2].removesuffix(".py")
        assert (ROOT / f"{name}.py").is_file() or (ROOT / name / "__main__.py").is_file()
    else:
        assert words[0] in (".venv/bin/pytest",)
    assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
    suite_options = {f"{PREFIX}{name}" for name in BY_NAME}
    assert {word.partition("=")[0] for word in words if word.startswith(PREFIX)} <= suite_options


def test_commands_are_shown_at_all() -> None:
    """The two commands of README and each subcommand are shown somewhere."""
    called = {shlex.join(words).split(" --")[0] for words in SHOWN}
    assert {"scripts/conformance", "scripts/test", ".venv/bin/pytest"} <= called
    leaves = [
        f"kueue-lws-conformance {name}{f' {leaf}' if leaf else ''}"
        for name, command in COMMAND.commands.items()
        for leaf in getattr(command, "commands", {"": None})
    ]
    text = "\n".join(shlex.join(words) for words in SHOWN)
    assert [leaf for leaf in leaves if leaf not in text and leaf != "kueue-lws-conformance run"] == []


# The failure and the picture


def test_the_failure_that_readme_explains_is_one_that_the_suite_prints() -> None:
    """The shown failure has the form of a printed one, the words of its claim, and a command that there is."""
    [block] = code_blocks(README, "text")
    outcome, requirement, level, claim = block.splitlines()[0].split()
    record = load()[requirement]
    known = {claim.id: claim for claim in whole_suite().claims}
    assert (outcome, level) == ("FAILED", f"({record.level})")
    assert record.sentence in " ".join(block.split())
    assert known[claim].requirement == requirement
    assert block.strip().endswith(f" --story {known[claim].story.name} -k {claim.rpartition('::')[2]}")
    printed = io.StringIO()
    sample = claim_of(samples.FAILED, samples.STARTED.date())
    terminal.print_failure(terminal.console_for(printed), sample, samples.CATALOGUE[2])
    assert _labels(block) == _labels(printed.getvalue())


def _labels(failure: str) -> list[str]:
    return re.findall(r"^  (\w+)(?:  |$)", failure, re.MULTILINE)


def _draw(results: Path, picture: Path) -> int:
    """Run docs/make_picture.py."""
    spec = importlib.util.spec_from_file_location("make_picture", ROOT / "docs" / "make_picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    code: int = module.main([str(results), str(picture)])
    return code


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results folder of a small run."""
    folder = tmp_path / "results"
    lines = samples.passing()
    with RunLog(folder) as log:
        for line in lines:
            log.append(line)
    write_result(folder, samples.result(lines))
    trace: list[Record] = [Header("run", True, 0.0), StoryStarted(10.0, "scale_up", "t-1")]
    trace.append(Fence(13.25, "scale_up", "told", 7))
    (folder / "trace.ndjson").write_bytes(b"".join(encode(record) for record in trace))
    return folder


def test_a_picture_shows_what_a_run_printed(results: Path, tmp_path: Path) -> None:
    """The picture of a run has its command, stories and last line, loads nothing, and is the same every time."""
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    assert [_draw(results, picture) for picture in pictures] == [0, 0]
    drawn, again = (picture.read_text(encoding="utf-8") for picture in pictures)
    assert drawn == again
    text = drawn.replace("&#160;", " ")
    assert "$ scripts/conformance" in text
    assert "3.2 s  scale_up" in text
    assert "exit code 0" in text
    assert not LOADS.search(drawn)


def test_a_picture_of_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without results there is no picture but one sentence, and exit code 2."""
    assert _draw(tmp_path, tmp_path / "a.svg") == 2
    assert "name a results folder" in capsys.readouterr().err
    assert not (tmp_path / "a.svg").exists()


def test_the_committed_picture_is_small_and_loads_nothing() -> None:
    """The picture in README is below 150 kB, and what shows it need not ask another server for a font."""
    picture = ROOT / "docs" / "run.svg"
    assert picture.stat().st_size < 150_000
    text = picture.read_text(encoding="utf-8")
    assert "scripts/conformance" in text
    assert not LOADS.search(text)
