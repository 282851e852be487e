"""Formats that several protocols share: pure bytes in, values out, no input or output."""
