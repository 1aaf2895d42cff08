"""End-to-end conformance suite for queueing LeaderWorkerSets with Kueue."""

__version__ = "0.1.0"
