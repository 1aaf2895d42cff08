"""Settings come from the command line, a file, `pyproject.toml` or the defaults, and a slip in any is refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import UsageError
from conformance.settings import OPTIONS, SECTION, Option, Settings, settle


@dataclass(frozen=True)
class Written:
    """One value of an option as a person writes it in each place, and what it means."""

    typed: Any
    toml: str
    meaning: object


def _one(option: Option, letter: str) -> Written:
    """A value by letter: that of `a` is not the default, and those of `a` and `b`, and of `b` and `c`, differ."""
    place = "abc".index(letter)
    number = place + 2
    match option.type:
        case "flag":
            return Written(True, "true", True)
        case "number" | "count":
            return Written(str(number), str(number), number)
        case "list":
            text = f"{letter}=x" if option.name == "skip" else letter
            return Written([text, "z=y"], f"['{text}', 'z=y']", (text, "z=y"))
        case "path":
            return Written(letter, f"'{letter}'", Path(letter))
    words = sorted(option.choices, key=lambda choice: choice == option.default) or [letter]
    word = words[place % len(words)]
    return Written(word, f"'{word}'", word)


def _settled(folder: Path, *, given: dict[str, Any] | None = None, file: str = "", pyproject: str = "") -> Settings:
    """The settings of a run in `folder`, with these lines in a file and in the project's section."""
    (folder / "pyproject.toml").write_text(f"[tool.{SECTION}]\n{pyproject}\n[tool.other]\nkey = 1\n")
    path = folder / "options.toml"
    path.write_text(file)
    return settle(given or {}, file=path if file else None, folder=folder)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
class TestEveryOption:
    def test_can_be_given_on_the_command_line(self, option: Option, tmp_path: Path) -> None:
        """Every option can be given on the command line, where numbers are text."""
        value = _one(option, "a")
        assert value.meaning != option.default
        assert getattr(_settled(tmp_path, given={option.name: value.typed}), option.key) == value.meaning

    def test_can_stand_in_a_file(self, option: Option, tmp_path: Path) -> None:
        """Every option is a key of the file that is named by --config."""
        value = _one(option, "a")
        assert getattr(_settled(tmp_path, file=f"{option.name} = {value.toml}"), option.key) == value.meaning

    def test_can_stand_in_the_project(self, option: Option, tmp_path: Path) -> None:
        """Every option is a key of the section in pyproject.toml."""
        value = _one(option, "a")
        assert getattr(_settled(tmp_path, pyproject=f"{option.name} = {value.toml}"), option.key) == value.meaning

    def test_has_its_default_otherwise(self, option: Option, tmp_path: Path) -> None:
        """An option that is given nowhere has the default of the table."""
        assert getattr(settle({}, folder=tmp_path), option.key) == option.default

    def test_the_nearer_source_wins(self, option: Option, tmp_path: Path) -> None:
        """The command line wins over the file, and the file over the project's section."""
        near, nearer, nearest = (_one(option, letter) for letter in "cba")
        project, file = f"{option.name} = {near.toml}", f"{option.name} = {nearer.toml}"
        both = _settled(tmp_path, file=file, pyproject=project)
        assert getattr(both, option.key) == nearer.meaning
        all_three = _settled(tmp_path, given={option.name: nearest.typed}, file=file, pyproject=project)
        assert getattr(all_three, option.key) == nearest.meaning

    def test_not_given_is_not_a_value(self, option: Option, tmp_path: Path) -> None:
        """None and an empty list on the command line mean that the option was not given."""
        value = _one(option, "b")
        nothings: list[object] = [None, [], ()]
        for nothing in nothings:
            settled = _settled(tmp_path, given={option.name: nothing}, file=f"{option.name} = {value.toml}")
            assert getattr(settled, option.key) == value.meaning


def test_the_sources_are_mixed_option_by_option(tmp_path: Path) -> None:
    """Each option is taken from the nearest source that has it, whatever that source says of others."""
    settled = _settled(
        tmp_path,
        given={"profile": "core"},
        file="profile = 'full'\nslow = 2",
        pyproject="profile = 'strict'\nslow = 3\nkeep = true",
    )
    expected = asdict(settle({}, folder=tmp_path / "nowhere")) | {"profile": "core", "slow": 2.0, "keep": True}
    assert asdict(settled) == expected


def test_a_file_may_be_a_pyproject(tmp_path: Path) -> None:
    """A file that has the section, such as another project's pyproject.toml, is read from there."""
    assert _settled(tmp_path, file=f"[tool.{SECTION}]\nslow = 4\n[tool.ruff]\nx = 1").slow == 4


def test_a_project_without_the_section_changes_nothing(tmp_path: Path) -> None:
    """A pyproject.toml that says nothing of this suite is no source."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\n")
    assert settle({}, folder=tmp_path) == settle({}, folder=tmp_path / "nowhere")


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In paths `~` stands for the user's home, in files too, where no shell replaces it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _settled(tmp_path, file="out = '~/results'").out == tmp_path / "results"


def test_skips_are_ids_with_reasons(tmp_path: Path) -> None:
    """What is skipped is told by id, with everything after the first `=` as the reason."""
    skip = ["UP-02=broken: a=b", "ADM-01 = later"]
    assert settle({"skip": skip}, folder=tmp_path).skips() == {"UP-02": "broken: a=b", "ADM-01": "later"}


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("profil", "profile"), ("kueue_version", "kueue-version"), ("storys", "story"), ("FAIL-ON", None)],
)
@pytest.mark.parametrize("source", ["file", "pyproject"])
def test_a_misspelt_key_is_told_with_the_nearest(tmp_path: Path, source: str, key: str, nearest: str | None) -> None:
    """A key that is no option is refused in one sentence that names it, the place, and the nearest right one."""
    line, in_file = f"{key} = 'x'", source == "file"
    with pytest.raises(UsageError) as refusal:
        _settled(tmp_path, file=line if in_file else "", pyproject="" if in_file else line)
    place = "options.toml" if in_file else f"[tool.{SECTION}] of pyproject.toml"
    assert f"unknown key {key!r} in " in str(refusal.value)
    assert place in str(refusal.value)
    assert nearest is None or f"Did you mean {nearest!r}?" in str(refusal.value)


WRONG_IN_FILES = [
    ("keep = 'yes'", "true or false is wanted"),
    ("keep = 1", "true or false is wanted"),
    ("slow = 'fast'", "a number is wanted"),
    ("slow = true", "a number is wanted"),
    ("slow = nan", "a number is wanted"),
    ("slow = inf", "a number is wanted"),
    ("slow = [2]", "a number is wanted"),
    ("port = 'https'", "a whole number from 1 on is wanted"),
    ("port = 1.5", "a whole number from 1 on is wanted"),
    ("port = true", "a whole number from 1 on is wanted"),
    ("port = 0", "a whole number from 1 on is wanted"),
    ("stories-at-once = -2", "a whole number from 1 on is wanted"),
    ("requirement = 5", "a text or a list of texts is wanted"),
    ("requirement = [5]", "a text or a list of texts is wanted"),
    ("skip = {UP-02 = 'why'}", "a text or a list of texts is wanted"),
    ("out = 3", "a path is wanted"),
    ("out = ['a']", "a path is wanted"),
    ("kueue-version = 0.19", "a text is wanted"),
    ("profile = 3", "a text is wanted"),
    ("profile = ['page']", "a text is wanted"),
]


@pytest.mark.parametrize(("line", "wanted"), WRONG_IN_FILES)
def test_a_value_of_the_wrong_type_is_refused(tmp_path: Path, line: str, wanted: str) -> None:
    """A value that is not of its option's type is refused in one sentence that names key, value, place and type."""
    key = line.partition(" = ")[0]
    with pytest.raises(UsageError) as refusal:
        _settled(tmp_path, pyproject=line)
    message = str(refusal.value)
    assert message.startswith(f"{key} = ")
    assert f"of pyproject.toml is not right: {wanted}" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", ["x", "nan", "1e999", ""])
def test_text_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    """On the command line a factor that cannot be read as a number is refused."""
    with pytest.raises(UsageError, match="a number is wanted"):
        settle({"slow": value}, folder=tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        ("cluster", "locl", "local"),
        ("implementation", "kueu", "kueue"),
        ("profile", "pages", "page"),
        ("fail-on", "MUS", "MUST"),
        ("profile", "zzz", None),
    ],
)
def test_a_word_that_is_no_choice_is_refused(tmp_path: Path, option: str, value: str, nearest: str | None) -> None:
    """Where an option has a few choices, another word is refused with the nearest one and all of them."""
    with pytest.raises(UsageError) as refusal:
        settle({option: value}, folder=tmp_path)
    message = str(refusal.value)
    assert message.startswith(f"unknown {option} {value!r}")
    choices = next(known.choices for known in OPTIONS if known.name == option)
    assert message.endswith(f"Choose one of: {', '.join(choices)}.")
    assert nearest is None or f"Did you mean {nearest!r}?" in message


@pytest.mark.parametrize("value", ["UP-02", "UP-02=", "UP-02=  ", "=reason", "="])
def test_a_skip_needs_an_id_and_a_reason(tmp_path: Path, value: str) -> None:
    """Nothing is left out without saying what and why."""
    with pytest.raises(UsageError, match=r"^--skip .*: a reason is missing; write --skip (UP-02|ID)=REASON$"):
        settle({"skip": [value]}, folder=tmp_path)


@pytest.mark.parametrize("factor", ["0", "-1", "-0.5"])
def test_deadlines_cannot_be_scaled_away(tmp_path: Path, factor: str) -> None:
    """A factor for deadlines that is not above 0 is refused."""
    with pytest.raises(UsageError, match=r"^--slow .*: the factor must be above 0"):
        settle({"slow": factor}, folder=tmp_path)


BROKEN_FILES = {
    "no TOML": (b"slow 3", "is not valid TOML"),
    "a key twice": (b"slow = 1\nslow = 2", "is not valid TOML"),
    "no UTF-8": (b"slow = '\xff'", "is not valid TOML"),
    "a section that is no table": (f"tool.{SECTION} = 3".encode(), "is not a table of keys"),
}


@pytest.mark.parametrize(("content", "complaint"), BROKEN_FILES.values(), ids=BROKEN_FILES)
@pytest.mark.parametrize("as_project", [True, False])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, complaint: str, as_project: bool) -> None:
    """A file that is not TOML, or has no table of keys, ends the run before it began, in one sentence."""
    path = tmp_path / ("pyproject.toml" if as_project else "options.toml")
    path.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        settle({}, file=None if as_project else path, folder=tmp_path)
    assert complaint in str(refusal.value)
    assert path.name in str(refusal.value)


@pytest.mark.parametrize("content", ["tool = 3", "[tool.other]\nx = 1"])
def test_a_file_without_our_keys_is_refused(tmp_path: Path, content: str) -> None:
    """A file that is named by --config and has other content is refused, because its keys would do nothing."""
    with pytest.raises(UsageError, match="unknown key 'tool'"):
        _settled(tmp_path, file=content)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str) -> None:
    """A file that is named by --config and cannot be read ends the run before it began."""
    with pytest.raises(UsageError, match=r"^cannot read .*; name a readable TOML file with --config$"):
        settle({}, file=tmp_path / name, folder=tmp_path)
