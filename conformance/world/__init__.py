"""The world a story acts in: its tenant, racks, queues and LeaderWorkerSets, and the teller that runs stories at once."""
