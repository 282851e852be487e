# The developer's recipes; each calls the same scripts as ./run, ./test and CI.
.POSIX:
.PHONY: setup check test lock bench docs

setup:
	tools/setup

check:
	tools/check

test:
	./test

lock: setup
	tools/lock --upgrade

# Each benchmark beside its peer in one run; WRITE=--write keeps the table in docs/benchmarks.md.
bench: setup
	.venv/bin/python -m bench $(WRITE)

docs: setup
	.venv/bin/python tools/docs.py
