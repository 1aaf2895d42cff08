"""Stories and claims are declared in full, and suite files hold nothing but them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import suites
from conformance.errors import UsageError
from conformance.suite import ClaimOfStory, whole_suite
from conformance.world.phases import RESTARTS, WITHOUT_QUEUE_NAME
from conformance.world.story import Story, claim, claim_of, story
from conformance.world.teller import tenant_name

FILES = sorted(Path(suites.__path__[0]).glob("test_*.py"))
TREES = {file.name: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
SUITE = whole_suite()
STORIES = {one.name: one for one in SUITE.stories}
JUDGED = {one.id: one for one in SUITE.claims if one.function is not None}
SENTENCE = re.compile(r"[A-Z].*[^.!?]\.", re.DOTALL)

each_file = pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
each_story = pytest.mark.parametrize("told", STORIES.values(), ids=STORIES)
each_claim = pytest.mark.parametrize("judged", JUDGED.values(), ids=JUDGED)


# Declaring


def body(tenant: Any) -> None:
    """One group runs,
    and another waits."""


def test_a_story_is_what_its_function_says() -> None:
    """A story has its function's name and docstring as its name and sentence, and its moments in their order."""
    made = story(moments={"running": "ADM-01", "room": "ADM-06"}, needs=("runs-containers",))(body)
    assert (made.name, made.sentence) == ("body", "One group runs, and another waits.")
    assert list(made.moments.items()) == [("running", "ADM-01"), ("room", "ADM-06")]
    assert (made.body, made.module, made.needs) == (body, __name__, frozenset({"runs-containers"}))


def test_a_story_of_a_phase_needs_what_the_phase_needs() -> None:
    """A story of a phase can only be told where the implementation can be restarted or configured for it."""
    assert story(phase=RESTARTS)(body).needs == frozenset({"restarts-implementation"})
    made = story(phase=WITHOUT_QUEUE_NAME, needs=("runs-containers",))(body)
    assert made.phase is WITHOUT_QUEUE_NAME
    assert made.needs == frozenset({"configures-implementation", "runs-containers"})


def test_a_story_may_promise_nothing() -> None:
    """A story without promised moments is one, too."""
    assert story()(body).moments == {}


def test_a_claim_stays_a_function() -> None:
    """A claim is a plain test function that knows its requirement and the stories that it is judged on."""
    one, other = story()(body), story(moments={"a": "ADM-01"})(body)

    def test_something(told: Any) -> None:
        """A sentence."""

    assert claim("UP-01", of=one)(test_something) is test_something
    found = claim_of(test_something)
    assert found is not None
    assert (found.requirement, found.stories) == ("UP-01", (one,))
    claim("UP-02", of=(one, other))(test_something)
    found = claim_of(test_something)
    assert found is not None
    assert (found.requirement, found.stories) == ("UP-02", (one, other))
    assert claim_of(body) is None


def undocumented(tenant: Any) -> None:
    pass


def test_what_has_no_sentence_is_refused() -> None:
    """A story or a claim without a docstring is refused by name, since its sentence is what is published."""
    with pytest.raises(UsageError, match=r"^story undocumented has no docstring; say in one sentence what happens"):
        story()(undocumented)
    with pytest.raises(UsageError, match=r"^claim undocumented has no docstring; write the sentence that it"):
        claim("UP-01", of=story()(body))(undocumented)


@pytest.mark.parametrize("moment", ["Running", "two_run", "", "-a", "a--b", "end"])
def test_a_moment_has_a_plain_name(moment: str) -> None:
    """A moment that is not in kebab-case, or takes the name of the end that every story has, is refused."""
    with pytest.raises(UsageError, match=r"^story body: .* is no name for a moment"):
        story(moments={moment: "ADM-01"})(body)


def test_a_claim_is_of_a_story() -> None:
    """A claim of no story is refused, for it would never be judged."""
    with pytest.raises(UsageError, match=r"^claim body is of no story"):
        claim("UP-01", of=())(body)


# What suite files hold


ALLOWED = {
    "__future__",
    "conformance.expectations",
    "conformance.expectations.judging",
    "conformance.names",
    "conformance.suites.from_vectors",
    "conformance.suites.vectors",
    "conformance.world.builders",
    "conformance.world.phases",
    "conformance.world.requests",
    "conformance.world.rules",
    "conformance.world.story",
    "conformance.world.tenant",
}
"""No cluster, no client, no implementation, no pytest (so no skip and no xfail), no clock, no retries."""


@each_file
def test_suites_import_the_words_of_stories_alone(tree: ast.Module) -> None:
    """A suite file imports expectations, builders and what declares stories: nothing that knows clusters or clocks."""
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= ALLOWED
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


FORBIDDEN = (
    ast.While,
    ast.Try,
    ast.With,
    ast.Assert,
    ast.Lambda,
    ast.Raise,
    ast.Global,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


@each_file
def test_suites_neither_wait_nor_decide_by_themselves(tree: ast.Module) -> None:
    """A suite file has no loop that waits, no exception that is caught or raised, and no assertion of its own."""
    assert not [f"line {node.lineno}" for node in ast.walk(tree) if isinstance(node, FORBIDDEN)]
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"sleep", "skip", "xfail", "fail", "importorskip", "retry"}


@each_file
def test_suites_hold_stories_and_claims_alone(tree: ast.Module) -> None:
    """Every function of a suite file is declared as a story or as a claim, and the file says what it is about."""
    assert ast.get_docstring(tree)
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        [decorator] = function.decorator_list
        assert isinstance(decorator, ast.Call)
        assert isinstance(decorator.func, ast.Name)
        is_claim = function.name.startswith("test_")
        assert decorator.func.id == ("claim" if is_claim else "story"), function.name
        assert [argument.arg for argument in function.args.args] == (["told"] if is_claim else ["tenant"])


def statements(function: Callable[..., Any]) -> list[ast.stmt]:
    """The statements of a function, nested ones included, its docstring left out."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    return [node for part in tree.body[1:] for node in ast.walk(part) if isinstance(node, ast.stmt)]


@each_claim
def test_a_claim_can_be_read_at_a_glance(judged: ClaimOfStory) -> None:
    """A claim has one sentence and at most eight statements, each of which judges, loops over or names something."""
    assert judged.function is not None
    found = statements(judged.function)
    assert 1 <= len(found) <= 8
    assert all(isinstance(statement, ast.Expr | ast.For | ast.Assign) for statement in found)
    assert SENTENCE.fullmatch(judged.sentence)
    assert ". " not in judged.sentence


@each_story
def test_a_story_can_be_read_at_a_glance(told: Story) -> None:
    """A story says in one sentence what happens in it, and does it in at most eighteen statements."""
    assert len(statements(told.body)) <= 18
    assert SENTENCE.fullmatch(told.sentence)
    assert ". " not in told.sentence


# Moments


def waits(told: Story) -> Iterator[tuple[str, str]]:
    """(verb, moment) of every wait in a story's body, in the order of the text."""
    found = [
        (node.lineno, node.func.attr, keyword.value.value)
        for statement in statements(told.body)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        for keyword in node.keywords
        if keyword.arg == "moment" and isinstance(keyword.value, ast.Constant)
    ]
    yield from ((verb, str(moment)) for _, verb, moment in sorted(set(found)))


@each_story
def test_promises_are_waited_for_in_their_order(told: Story) -> None:
    """Exactly the promised moments are waited for as promises, in the order in which the story declares them."""
    assert [moment for verb, moment in waits(told) if verb == "eventually"] == list(told.moments)


@each_story
def test_a_story_marks_a_moment_once(told: Story) -> None:
    """No moment is marked twice, since a claim could not tell which of the two is meant."""
    marked = [moment for _, moment in waits(told)]
    assert sorted(set(marked)) == sorted(marked)


def named_moments(function: Callable[..., Any]) -> set[str]:
    """The moments that a claim's windows begin with, end with, cover, or are."""
    found: set[str] = set()
    for node in (node for statement in statements(function) for node in ast.walk(statement)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            edges = [keyword.value for keyword in node.keywords if keyword.arg in ("since", "until", "through", "at")]
            edges += node.args[:1] if node.func.attr == "at" else []
            found |= {str(edge.value) for edge in edges if isinstance(edge, ast.Constant)}
    return found


@each_claim
def test_a_claim_is_about_moments_of_its_story(judged: ClaimOfStory) -> None:
    """Every moment that a claim names is one that its story marks; a misspelt one would be inconclusive for ever."""
    assert judged.function is not None
    assert named_moments(judged.function) <= {moment for _, moment in waits(judged.story)}


@each_story
def test_something_is_claimed_of_every_story(told: Story) -> None:
    """No story is told for nothing."""
    assert SUITE.of_story(told.name)


# Tenants


def test_every_story_has_a_tenant_of_its_own() -> None:
    """Stories have names, and so namespaces, logs and verdicts, of their own, however long the names are."""
    names = [told.name for told in SUITE.stories]
    assert sorted(set(names)) == sorted(names)
    tenants = [tenant_name("k3f9", told) for told in SUITE.stories]
    assert sorted(set(tenants)) == sorted(tenants)


@each_story
def test_a_tenants_name_can_be_a_label_and_a_nodes_prefix(told: Story) -> None:
    """A tenant's name, with a host's name behind it, is a valid name and label value of Kubernetes."""
    name = f"{tenant_name('k3f9', told)}-canary"
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
