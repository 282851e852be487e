"""The protocols that are built in: one file or folder each, found by the catalogue."""
