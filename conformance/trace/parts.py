"""Several tellings of the same stories into one recorder: what one of them writes is told apart by the part's name."""

from __future__ import annotations

import msgspec

from conformance.trace.recorder import Recorder
from conformance.trace.records import Change, Gap, Header, Record
from conformance.trace.waiting import Feed


class Part(Recorder):
    """A recorder as one of several tellings sees it: in the trace its stories are called `part/story`.

    It records nothing by itself; tenants must be named apart by whoever makes them.
    """

    def __init__(self, whole: Recorder, name: str) -> None:
        self._whole, self._name = whole, name
        self.kube, self.run, self.ordered = whole.kube, whole.run, whole.ordered
        self.kinds, self.left_out, self.lag = whole.kinds, whole.left_out, whole.lag

    def start(self, seconds: float) -> None:
        """The whole has been started."""

    def stop(self) -> None:
        """The whole will be stopped."""

    def follow(self, tenant: str) -> Feed:
        return self._whole.follow(tenant)

    def unfollow(self, tenant: str) -> None:
        self._whole.unfollow(tenant)

    def write(self, record: Record) -> None:
        if not isinstance(record, Change | Gap | Header):
            record = msgspec.structs.replace(record, story=self._called(record.story))
        self._whole.write(record)

    def flush(self) -> None:
        self._whole.flush()

    def records_of(self, story: str, tenant: str) -> list[Record]:
        return [self._own(record, story) for record in self._whole.records_of(self._called(story), tenant)]

    def forget(self, story: str, tenant: str) -> None:
        self._whole.forget(self._called(story), tenant)

    def wake(self) -> None:
        self._whole.wake()

    def _called(self, story: str) -> str:
        return f"{self._name}/{story}"

    @staticmethod
    def _own(record: Record, story: str) -> Record:
        if isinstance(record, Change | Gap | Header):
            return record
        return msgspec.structs.replace(record, story=story)
