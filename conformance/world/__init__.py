"""The world a story acts in: its tenant, racks, queues and sets, and the teller that runs stories at once."""
