# The developer's recipes; each calls the same scripts as ./run, ./test and CI.
.POSIX:
.PHONY: setup check test lock

setup:
	tools/setup

check:
	tools/check

test:
	./test

lock: setup
	tools/lock --upgrade
