"""``python -m sentinel``."""

from sentinel.cli.main import main

main()
