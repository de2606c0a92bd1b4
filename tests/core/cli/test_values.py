"""What is typed, and what is shown: values of options, the main table, safe text."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandtop.core.cli import _args, _output, _text
from sandtop.core.cli._exec_options import add_options
from sandtop.core.cli._exec_request import Options, bare, requested
from sandtop.core.cli.exec import parse
from sandtop.core.cli.main import COMMANDS
from sandtop.core.client.link.values import limits, signal_number
from sandtop.core.errors import InvalidRequest

from .process import command, modules_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakecore import FakeCore

    from .process import Run


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (_args.mebibytes, "512", 512),
        (_args.mebibytes, "512M", 512),
        (_args.mebibytes, "1.5g", 1536),
        (_args.mebibytes, "2GiB", 2048),
        (_args.seconds, "30", 30.0),
        (_args.seconds, "1.5s", 1.5),
        (_args.seconds, "2h", 7200.0),
        (_args.rlimit, "nofile=1024", ("nofile", [1024, 1024])),
        (_args.rlimit, "RLIMIT_CPU=1:unlimited", ("cpu", [1, -1])),
        (_args.pair, "a=b=c", ("a", "b=c")),
        (_args.count, "0", 0),
    ],
)
def test_values(convert: Callable[[str], object], text: str, value: object) -> None:
    assert convert(text) == value


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (_args.mebibytes, "much"),
        (_args.mebibytes, "0.3M"),
        (_args.mebibytes, "-1"),
        (_args.mebibytes, "5s"),
        (_args.seconds, "0"),
        (_args.seconds, "soon"),
        (_args.seconds, "3M3"),
        (_args.rlimit, "nofile"),
        (_args.rlimit, "nofile=1:2:3"),
        (_args.rlimit, "nofile=-5"),
        (_args.pair, "=b"),
        (_args.variable, "NOT_SET_ANYWHERE"),
        (_args.count, "-1"),
    ],
)
def test_values_that_make_no_sense(convert: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not"):
        convert(text)


def test_limits_of_the_sdk() -> None:
    given = limits({"nofile": 5, "cpu": (1, "unlimited"), "as": "unlimited"})
    assert given == {"nofile": [5, 5], "cpu": [1, -1], "as": [-1, -1]}
    with pytest.raises(InvalidRequest, match="nofile"):
        limits({"nofile": -2})


@pytest.mark.parametrize("given", ["TERM", "SIGTERM", "term", "15", 15])
def test_signals(given: str | int) -> None:
    assert signal_number(given) == 15


@pytest.mark.parametrize("given", ["NOPE", "0", "65", -1, ""])
def test_signals_that_are_not(given: str | int) -> None:
    with pytest.raises(InvalidRequest, match="no signal"):
        signal_number(given)


def test_a_command_may_follow_with_and_without_dashes() -> None:
    assert _args.split(["-i", "box", "--", "ls", "--", "-l"]) == (["-i", "box"], ["ls", "--", "-l"])
    assert _args.split(["box", "ls"]) == (["box", "ls"], None)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_no_control_reaches_a_terminal_however_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    whole = _text.Neutraliser().feed(data, final=True)
    pieces, begin, shower = b"", 0, _text.Neutraliser()
    for cut in sorted(cuts):
        pieces += shower.feed(data[begin:cut] if cut > begin else b"")
        begin = max(begin, cut)
    pieces += shower.feed(data[begin:], final=True)
    assert pieces == whole
    text = whole.decode()
    assert not any((ord(char) < 32 and char not in "\n\t\r") or 0x7F <= ord(char) < 0xA0 for char in text)


def test_plain_text_is_left_alone() -> None:
    text = "ls\t-l\r\n日本語 é 🙂\n".encode()
    assert _text.Neutraliser().feed(text, final=True) == text


def test_one_line_of_anything() -> None:
    assert _text.visible("a\x1b[31m\nb\u202ec\udc80é") == r"a\x1b[31m\nb\u202ec\udc80é"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (99, "99s"), (100, "1m"), (7200, "2h"), (10**6, "11d")]
)
def test_durations(seconds: float, text: str) -> None:
    assert _output.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert _output.size(count) == text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, run: Run) -> None:
    done = run(name, "--help")
    assert (done.status, done.err) == (0, b"")
    text = done.out.decode()
    assert text.startswith(f"usage: sandtop {name}")
    assert (
        f"examples:\n  sandtop {name}" in text or "examples:\n  tar " in text or "examples:\n  echo" in text
    )


def test_without_a_command_there_is_help(run: Run) -> None:
    done = run()
    assert (done.status, done.err) == (0, b"")
    assert all(f"\n  {name} " in done.out.decode() for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("exce", "demo"), "did you mean 'exec'"),
        (("exec",), "NAME"),
        (("exec", "demo"), "no command"),
        (("exec", "--nope", "demo", "--", "true"), "--nope"),
        (("exec", "--timeout", "never", "demo", "--", "true"), "never"),
        (("exec", "-d", "-i", "demo", "--", "true"), "-d and -i"),
        (("run", "--"), "no command"),
        (("create",), "NAME"),
        (("create", "--memory", "lots", "x"), "lots"),
        (("create", "--network", "all", "x"), "all"),
        (("signal", "demo", "ab", "NOPE"), "NOPE"),
        (("image", "build", "mine"), "--from"),
        (("image", "build", "mine", "--from", ""), "is empty"),
        (("cp", "a", "b"), "NAME:PATH"),
        (("core", "fly"), "fly"),
        (("completion", "cmd.exe"), "cmd.exe"),
        (("logs", "demo", "--since", "never"), "never"),
    ],
)
def test_bad_input_is_one_line_and_125(arguments: tuple[str, ...], words: str, run: Run) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (125, b"")
    assert words in done.complaint


def test_a_home_that_cannot_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDTOP_HOME", "relative/home")
    assert "relative/home" in run("ls").complaint
    monkeypatch.setenv("SANDTOP_HOME", "/proc/nobody/can/write/here")
    assert "/proc/nobody" in run("ls").complaint


def test_lists_for_people_and_programs(fake: FakeCore, run: Run) -> None:
    fake.sandboxes["demo"]["reason"] = "a\033[31m\nb"
    (listed,) = json.loads(run("ls", "--json").out)
    fields = {
        "name",
        "uuid",
        "state",
        "image",
        "cpus",
        "memory",
        "accelerator",
        "pid",
        "reason",
        "created_at",
    }
    assert fields <= listed.keys()
    table = run("ls").out.decode()
    assert table.splitlines()[0].split()[:3] == ["NAME", "STATE", "IMAGE"]
    assert r"a\x1b[31m\nb" in table
    assert run("ls", "-q").out == b"demo\n"
    status = json.loads(run("core", "status", "--json").out)
    assert {"pid", "version"} <= status.keys()
    assert json.loads(run("inspect", "demo").out)["sandbox"]["name"] == "demo"


def test_create_and_rm(fake: FakeCore, run: Run) -> None:
    made = run("create", "--memory", "1G", "--env", "A=1", "--label", "team=a", "--image", "base", "new")
    assert (made.status, made.out, made.err) == (0, b"new\n", b"")
    (request,) = [request for request in fake.requests if request["op"] == "sandbox.create"]
    asked = {name: request[name] for name in ("memory", "env", "labels", "cpus")}
    assert asked == {"memory": 1024, "env": {"A": "1"}, "labels": {"team": "a"}, "cpus": None}
    both = run("rm", "new", "demo")
    assert both.status == 125
    assert len(both.err.splitlines()) == 2
    assert run("rm", "--force", "new", "demo").out == b"new\ndemo\n"
    assert fake.sandboxes == {}


def test_create_several(fake: FakeCore, run: Run) -> None:
    made = run("create", "--memory", "1G", "a", "demo", "b")
    assert (made.status, sorted(made.out.split())) == (125, [b"a", b"b"])
    assert made.err.splitlines() == [b"sandtop: the name is taken"]
    asked = [request for request in fake.requests if request["op"] == "sandbox.create"]
    assert {request["name"]: request["memory"] for request in asked} == {"a": 1024, "demo": 1024, "b": 1024}
    as_json = run("create", "--json", *(f"c-{number}" for number in range(20)))
    assert as_json.status == 0
    assert [each["name"] for each in json.loads(as_json.out)] == [f"c-{number}" for number in range(20)]


def test_a_core_that_does_not_run_is_said(home: object, run: Run) -> None:
    done = run("core", "status", "--json")
    assert done.status == 1
    assert json.loads(done.out)["pid"] is None
    assert "not running" in done.complaint
    assert "not running" in run("core", "stop").complaint


def test_a_reader_that_left_gets_no_words(fake: FakeCore) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(command("ls"), stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


def test_names_are_completed_without_starting_a_core(fake: FakeCore, run: Run) -> None:
    assert run("__complete", "sandboxes").out == b"demo\n"
    fake.die()
    assert run("__complete", "sandboxes").out == b""


def test_bash_completes_commands_and_names(fake: FakeCore, run: Run) -> None:
    script = run("completion", "bash").out.decode()
    path = os.path.dirname(sys.executable)
    ask = 'sandtop() { python -m sandtop "$@"; }; COMP_WORDS=(%s); COMP_CWORD=%d; _shtab_sandtop; echo ${COMPREPLY[@]}'
    for words, at, expected in (("sandtop exe", 1, "exec"), ("sandtop exec d", 2, "demo")):
        done = subprocess.run(
            ["bash", "-c", script + ask % (words, at)],
            env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == [expected], done.stderr


def test_what_people_wait_for_imports_little() -> None:
    """A hundred milliseconds here are a hundred in every loop of every script."""
    program = (
        "import sys; sys.argv = ['sandtop', 'exec']\n"
        "import sandtop.core.cli.main, sandtop.core.cli.exec, sandtop.core.cli.listing, sandtop.core.cli.logs"
    )
    unwanted = {
        "asyncio",
        "trio",
        "anyio",
        "rich",
        "dataclasses",
        "json",
        "pathlib",
        "socket",
        "subprocess",
        "platformdirs",
    }
    assert not unwanted & modules_after(program)


def test_an_exec_imports_next_to_nothing(fake: FakeCore) -> None:
    """What is named here takes 2 to 10 ms each, and all of it less than that."""
    program = (
        "sys.argv[1:] = ['exec', 'demo', '--', 'true']\n"
        "from sandtop.core.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0"
    )
    loaded = modules_after(program)
    assert "sandtop.core.cli.exec" in loaded
    unwanted = "argparse collections contextlib enum functools hashlib json re signal struct typing"
    assert not loaded & {*unwanted.split(), "sandtop.core.cli._args"}


def test_an_exec_asks_before_it_imports_what_takes_the_answer() -> None:
    loaded = modules_after("import sandtop.core.cli.exec")
    assert "sandtop.core.cli.exec" in loaded
    answer = {
        f"sandtop.core.client.{name}"
        for name in ("link.operation", "session", "link.recovery", "session.ending", "session.following")
    }
    assert not loaded & {
        *answer,
        "sandtop.core.contract",
        "sandtop.core.cli._relay",
        "sandtop.agent.wire.streams",
    }


WORDS = st.text() | st.sampled_from(["-", "--", "-i", "--stdin", "demo", "@file", "a b"])


@given(st.lists(WORDS, max_size=5))
@example(["demo", "--", "true"])
@example(["demo", "--", "-i", "--", "x"])
@example(["", "--", ""])
def test_a_bare_exec_means_what_the_parser_makes_of_it(argv: list[str]) -> None:
    options = bare(argv)
    if options is None:
        assert len(argv) < 3 or argv[1] != "--" or argv[0].startswith("-") or not argv[0]
        return
    parsed = parse(argv)
    assert set(vars(parsed)) <= set(
        Options.__annotations__
    )  # a default of the parser's own would be one more
    assert (options.name, options.command) == (parsed.name, parsed.command)
    assert {**requested(options), "id": ""} == {**requested(parsed), "id": ""}


def test_the_bare_package_costs_nothing() -> None:
    loaded = modules_after("import sandtop")
    assert loaded - modules_after("") == {"sandtop", "__future__"}


def test_every_name_of_the_package_is_there() -> None:
    import sandtop

    assert all(getattr(sandtop, name) is not None for name in sandtop.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = sandtop.nothing_such  # pyright: ignore[reportAttributeAccessIssue]


def test_exec_and_run_share_their_options() -> None:
    parser = _args.Parser("exec", "", "", "")
    add_options(parser)
    options = parser.parse_args(["-i", "-t", "-e", "A=1", "--rlimit", "cpu=1", "--timeout", "1m"])
    assert (options.stdin, options.tty, options.env, options.timeout) == (True, True, [("A", "1")], 60.0)


@pytest.mark.parametrize("face", ["link", "session", "sdk"])
def test_every_name_of_a_package_of_the_client_is_there(face: str) -> None:
    package = importlib.import_module(f"sandtop.core.client.{face}")
    for name in package.__all__:
        value = getattr(package, name)
        assert value is not None
        assert not isinstance(value, ModuleType), f"a module of {face} has the name {name} of something else"
