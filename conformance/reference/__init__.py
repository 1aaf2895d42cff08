"""The reference reconciler: LeaderWorkerSets queued by the Kueue API, group by group, without Kueue.

Its core is pure: an immutable snapshot and a time go in, what to write comes out. `model` has the values, `deciding`
the order of one pass; every other core module opens with the rule that it implements. Only `edges` talk to a cluster.
"""
