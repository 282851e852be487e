"""The daemon: the only place that constructs things."""
