# Run through ./bootstrap, which installs what these need, or with .venv/bin/just once it has.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# Containers often have it set: then each of the hundreds of processes of the tests compiles all that it imports.
export PYTHONDONTWRITEBYTECODE := ""

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

# Everything that CI runs: the checks and all tests
test: ready
    @date '+==> %T Testing, without virtual machines'
    pytest -m 'not vm' -n 4 --dist loadfile --durations 20
    @just quick-by 3.13 tests/agent tests/core/contract tests/core/guest tests/core/cli
    @date '+==> %T Testing on virtual machines'
    pytest -m vm -n 3 --dist loadfile --no-loadscope-reorder --durations 40

# What is built waits for downloads, and most of it is one process, as most checks are: so they go on at the same time.
[private]
[parallel]
ready: setup check

# The quick tests: most of them, in a minute
quick *ARGS:
    @date '+==> %T Testing, the quick ones'
    pytest -m 'not vm and not slow' -n 3 --dist loadfile {{ ARGS }}

# The quick tests by another PYTHON, such as 3.13, where it is installed, in an environment of its own
quick-by PYTHON *ARGS:
    #!/bin/sh
    set -eu
    for python in python{{ PYTHON }} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/{{ PYTHON }}.*/bin/python3; do
        "$python" --version >/dev/null 2>&1 && break || python=
    done
    [ -n "$python" ] || { echo '==> Python {{ PYTHON }} is not here: nothing was tested by it'; exit 0; }
    case "$(python --version)" in *' {{ PYTHON }}.'*) echo '==> Python {{ PYTHON }} is that of .venv'; exit 0 ;; esac
    venv=build/python{{ PYTHON }}
    date "+==> %T Testing, the quick ones, by $("$python" --version)"
    if [ ! -x $venv/bin/pytest ]; then
        "$python" -m venv --clear $venv
        $venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    fi
    PATH="$PWD/$venv/bin:$PATH" $venv/bin/pytest -m 'not vm and not slow' -n 3 --dist loadfile {{ ARGS }}

# The quick tests, and how much of each module they reach, lines and branches
coverage:
    @date '+==> %T Testing, the quick ones, and what they reach'
    @mkdir -p build/coverage && rm -f build/coverage/*
    coverage run -m pytest -m 'not vm and not slow' -n 3 --dist loadfile
    @coverage combine --quiet
    @rm -f build/coverage/data.*  # what is left is of processes that were killed while they wrote it
    @coverage report

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
    towncrier build --draft --version next >/dev/null

# Put the code in its canonical format
fmt:
    ruff check --fix
    ruff format

# Write anew what is made from other files: the man page, the completions, sandtop.sync, lists and tables of names
generate:
    python -m sandtop.core.cli.manual share
    python -m tests.core.client.sync_source
    python -m tests.core.client.faces
    python -m tests.core.contract.rows
    python -m tests.tui.keytables

# Show what CHANGELOG.md will say of what is new
changelog:
    @towncrier build --draft --version next

# Make the commit, the tag, the wheel and the sdist of VERSION (as 0.2.0); nothing leaves this machine
release VERSION: check
    #!/bin/sh
    set -eu
    fail() { printf 'release: %s\n' "$*" >&2; exit 1; }
    version={{ quote(VERSION) }}
    printf '%s' "$version" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' || fail "'$version' is no version: say three numbers, as in 0.2.0"
    [ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed (git status shows them)"
    ! git rev-parse --quiet --verify "refs/tags/v$version" >/dev/null || fail "the tag v$version is there already"
    before=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/sandtop/__init__.py)
    [ "$(printf '%s\n' "$before" "$version" | sort -V | tail -n 1)" = "$version" ] || fail "$before is newer than $version"
    sed -i "s/^__version__ = .*/__version__ = \"$version\"/" src/sandtop/__init__.py
    python -m sandtop.core.cli.manual share
    towncrier build --yes --version "$version"
    rm -rf dist
    python -m build --no-isolation --outdir dist >/dev/null
    git add --all
    git commit --quiet --message "Release $version"
    git tag --annotate "v$version" --message "sandtop $version"
    echo "==> sandtop $version is in dist/ and tagged. To publish it: git push --follow-tags, then hand dist/* to the index"
    echo "    To take it back: git tag --delete v$version && git reset --hard HEAD~"

# Measure: NAME is a folder of bench/; without one, each goal of speed, met or not
bench NAME="goals" *ARGS: setup
    python bench/{{ NAME }}/run.py {{ ARGS }}

# Kill what can be killed while work goes on, ROUNDS times, or at every moment; the tests do the same for fewer
chaos ROUNDS="200" *ARGS: setup
    SANDTOP_CHAOS_ROUNDS={{ ROUNDS }} pytest -m chaos -s {{ ARGS }}

# In an emulated machine whose KVM and vhost-vsock work: the VM tests that they matter to (test), benches (bench), a hundred kills of the core (chaos), a COMMAND, or a shell
nested *ARGS: setup
    @python -m tests.nested.run {{ ARGS }}

# Compare the console with its reviewed pictures in snapshots/
snap *ARGS:
    pytest tests/tui {{ ARGS }}

# Take the pictures anew; look at every one that changed before you commit it
snap-update *ARGS:
    pytest tests/tui --snapshot-update {{ ARGS }}

# Take the README's pictures: the console at real work, on real machines, in a minute or two; look at them before you commit them
picture: setup
    @python -m tests.pictures.take

# Feed TARGET (a file of tests/fuzz/targets) hostile input for --minutes N (1); tests/fuzz/seeds keeps what goes wrong. --seed S repeats it
fuzz TARGET *ARGS:
    python -m tests.fuzz.run {{ TARGET }} {{ ARGS }}
