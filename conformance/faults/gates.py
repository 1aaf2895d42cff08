"""Faults of the gates: pods that become schedulable when they must not, or that do not when they must."""

from __future__ import annotations

from conformance.faults.model import fault, replace
from conformance.reference import pods
from conformance.reference.model import Workload


@fault(
    "The pods of a group become schedulable while its Workload waits.",
    caught={"UP-02": "gated", "ADM-02": "gated", "QUO-08": "gated", "I1": "I1"},
)
def ungated_before_admission() -> None:
    def may_run(workload: Workload) -> bool:
        return not workload.deleted

    replace(pods, "may_run", may_run)
