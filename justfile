# Run through ./bootstrap, which installs what these need, or with .venv/bin/just once it has.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

[private]
default:
    @just --list

# Build the kernel, the guest runtime and the base image, where they are not there yet
setup:
    @# as pip does for a package that is not editable: without, each command compiles what it imports first, for 40 ms
    @python -m compileall -q agent core tui src/sandtop
    @sandtop setup --yes

# Print hello from Python in a virtual machine that lives for this one command
demo: setup
    @echo '==> Starting a virtual machine for one command'
    sandtop run -- python3 -c "print('hello')"
    @echo '==> That was a virtual machine of its own, and it is gone. What to try next:'
    @echo
    @echo '    . .venv/bin/activate                            put sandtop on the PATH'
    @echo '    sandtop create box                              a sandbox that stays'
    @echo '    sandtop exec box -- uname -a                    run a command in it'
    @echo '    sandtop exec -d box -- sh -c "ping localhost"   leave one running'
    @echo '    sandtop sessions                                what runs and ran'
    @echo '    sandtop rm --force box                          remove the sandbox'
    @echo '    sandtop doctor                                  what this machine lacks'

# Everything that CI runs: the checks, the quick tests, the tests on virtual machines
test: setup check
    @date '+==> %T Testing'
    pytest -m 'not vm' -n 2 --dist loadfile
    @date '+==> %T Testing on virtual machines'
    pytest -m vm -n 2 --dist loadfile

# Only the tests that boot virtual machines
test-vm *ARGS: setup
    pytest -m vm {{ ARGS }}

# The static checks
check:
    @date '+==> %T Checking'
    ruff check
    ruff format --check
    mypy
    basedpyright
    lint-imports

# Put the code in its canonical format
fmt:
    ruff check --fix
    ruff format

# Write the man page and the completion scripts in share/ anew, from the commands' own help
generate:
    python -m sandtop.core.cli.manual share

# Measure: NAME is a folder of bench/
bench NAME *ARGS: setup
    python bench/{{ NAME }}/run.py {{ ARGS }}

# Kill what can be killed while work goes on, ROUNDS times; the tests do the same for fewer
chaos ROUNDS="200" *ARGS: setup
    SANDTOP_CHAOS_ROUNDS={{ ROUNDS }} pytest -m chaos -s {{ ARGS }}

# Compare the console with its reviewed pictures in snapshots/
snap *ARGS:
    pytest tests/tui {{ ARGS }}

# Take the pictures anew; look at every one that changed before you commit it
snap-update *ARGS:
    pytest tests/tui --snapshot-update {{ ARGS }}

# Write the tables of keys in docs/console.md anew, from tui/actions/table.py
keys:
    python -m tests.tui.keytables

# Feed TARGET (a file of tests/fuzz/targets) hostile input for --minutes N (1); tests/fuzz/seeds keeps what goes wrong. --seed S repeats it
fuzz TARGET *ARGS:
    python -m tests.fuzz.run {{ TARGET }} {{ ARGS }}
