"""The exceptions that carry a sentence for the person who runs the suite.

Anything else that is raised is a defect of the suite itself.
"""

from __future__ import annotations


class UsageError(Exception):
    """The run cannot begin as asked: bad option, missing tool, unwritable folder. Exit code 2.

    The message is one sentence that says what is wrong and what to do about it.
    """


class HarnessError(Exception):
    """The harness or the cluster broke while stories were told. Outcome `error`, exit code 3."""


class Cancelled(Exception):
    """Raised out of a wait because the run is being ended (-x, --fail-fast, Ctrl-C)."""


def nearest(wrong: str, known: list[str]) -> str:
    """` Did you mean 'x'?` for the closest known word, or an empty string."""
    import difflib

    match = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
