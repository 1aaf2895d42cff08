"""What a run found out: the result model, its append-only log, and the views of it. No cluster is touched here."""
