"""Structured logs: one JSON object per line on standard error."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

LOG: Final = logging.getLogger("conformance.reference")


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def to_stderr() -> None:
    """Send everything that is logged, by libraries too, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)


def info(message: str, **fields: Any) -> None:
    LOG.info(message, extra={"fields": fields})


def warn(message: str, **fields: Any) -> None:
    LOG.warning(message, extra={"fields": fields})


def error(message: str, *, traceback: bool = False, **fields: Any) -> None:
    """`traceback`: of the exception that is being handled."""
    LOG.error(message, extra={"fields": fields}, exc_info=traceback)
