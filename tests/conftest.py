"""What a plain run of the tests leaves out: what repeats, on real clusters and in more depth, what others show too.

`scripts/test` and CI take half an hour at most on a new machine; `scripts/test --thorough` leaves nothing out.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="run the tests marked thorough, too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "thorough: minutes on a real cluster; only with --thorough, or named by its file"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect them, unless they were asked for: all of them, or their file by its name."""
    if config.getoption("--thorough"):
        return
    asked = [argument.partition("::")[0] for argument in config.args]
    left_out = [
        item
        for item in items
        if item.get_closest_marker("thorough") and not any(name.endswith(item.path.name) for name in asked)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
