"""The way of one observation: planned, run, judged, committed, told."""
