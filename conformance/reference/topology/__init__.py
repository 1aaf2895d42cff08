"""Topology Aware Scheduling: where the pods of a group go, so that they are near each other and their nodes hold them.

`leaves` knows the nodes as a tree of domains, `capacity` what is free on them, `fitting` whether and how pods fit into
a domain, `placing` and `replacing` turn that into assignments, `ranks` gives each pod its own place in one.
"""

from conformance.reference.topology.fitting import Placement
from conformance.reference.topology.placing import Places

__all__ = ["Placement", "Places"]
