"""Ways to tell people: one file each, with its options and its test."""
