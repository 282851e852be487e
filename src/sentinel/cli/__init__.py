"""The command line.

Exit codes of all commands: 0 done and good; 1 done and something is wrong (a check fails, the configuration is
refused, the daemon said no); 2 the command was not understood or cannot run here; 3 unknown (``probe``: we could not
measure; ``status``: no daemon answers).
"""
