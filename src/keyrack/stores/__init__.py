"""Where keys, counters and the journal live; what changes with scale is one URL."""
