# Run through ./bootstrap, which installs what these need, or with .venv/bin/just once it has.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

[private]
default:
    @just --list

# Prepare everything: after this `sandtop` works (in .venv/bin)
setup:

# Everything that CI runs: the checks, the quick tests, the tests on real virtual machines
test: setup check
    pytest

# Only the tests that boot virtual machines
test-vm *ARGS: setup
    pytest -m vm {{ ARGS }}

# The static checks
check:
    ruff check
    ruff format --check
    mypy
    basedpyright
    lint-imports

# Put the code in its canonical format
fmt:
    ruff check --fix
    ruff format
