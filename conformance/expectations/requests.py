"""Expectations about requests that a story tries, and what of a set a refused one must not change."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.expectations.model import Observation, expectation, seen, value
from conformance.expectations.subjects import WholeSet
from conformance.names import QUEUE_NAME
from conformance.trace.history import labels
from conformance.trace.records import Answer


@expectation
def refused(answer: Answer) -> Iterator[Observation]:
    """The request is answered with a 4xx status and the reason Invalid or Forbidden."""
    holds = 400 <= answer.status < 500 and answer.reason in ("Invalid", "Forbidden")
    yield seen(_request(answer), "status", "4xx Invalid or Forbidden", _status(answer), holds)


@expectation
def accepted(answer: Answer) -> Iterator[Observation]:
    """The request is answered with a 2xx status."""
    yield seen(_request(answer), "status", "2xx", _status(answer), 200 <= answer.status < 300)


def _request(answer: Answer) -> str:
    return f"{answer.verb} {answer.kind} {answer.namespace}/{answer.name}"


def _status(answer: Answer) -> str:
    return f"{answer.status} {answer.reason}".strip()


@value("metadata.labels[queue-name]")
def named_queue(whole: WholeSet) -> dict[str, object]:
    """The LocalQueue that the set names."""
    return {whole.title: labels(whole.lws).get(QUEUE_NAME)} if whole.lws is not None else {}


@value("spec.leaderWorkerTemplate.size")
def group_size(whole: WholeSet) -> dict[str, object]:
    """How many pods a group of the set has."""
    return {whole.title: whole.lws["spec"]["leaderWorkerTemplate"].get("size")} if whole.lws is not None else {}


@value("resources.requests of the templates' containers")
def template_requests(whole: WholeSet) -> dict[str, object]:
    """What the containers of the set's templates ask for."""
    if whole.lws is None:
        return {}
    templates = whole.lws["spec"]["leaderWorkerTemplate"]
    return {
        f"{whole.title} {role}": [
            (container.get("resources") or {}).get("requests") for container in templates[role]["spec"]["containers"]
        ]
        for role in ("leaderTemplate", "workerTemplate")
        if templates.get(role) is not None
    }
