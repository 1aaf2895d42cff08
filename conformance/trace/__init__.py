"""What happened on the cluster: recording it, waiting on it, and asking about it afterwards."""
