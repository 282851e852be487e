"""All that the author of a protocol or a channel imports."""
