"""The real components that a cluster is made of: chosen as a release line, built once, kept in a per-user store."""

from conformance.components.lines import DEFAULT, Line, choose, note
from conformance.components.store import Components, is_warm, provide

__all__ = ["DEFAULT", "Components", "Line", "choose", "is_warm", "note", "provide"]
