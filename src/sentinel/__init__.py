"""Sentinel: monitoring of an emergency command centre. Facts in, pure judgement, one commit, then tell people."""

__version__ = "0.1.0"
