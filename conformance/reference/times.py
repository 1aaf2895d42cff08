"""Times as the API writes them: RFC 3339, UTC, whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime


def show(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31T12:00:00Z`; fractions are cut off, as the API server does."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str | None) -> float:
    """Seconds since the epoch; 0 for a time that is not there. Raises ValueError for what is no time."""
    if not text:
        return 0.0
    return datetime.fromisoformat(text).timestamp()
