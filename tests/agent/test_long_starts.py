"""Starts that are longer than a frame, and how much execve(2) takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import (
    MAX_STRING,
    MOST_LONG,
    START_STREAM,
    Data,
    SendStream,
    excess,
    room,
)

if TYPE_CHECKING:
    from .core_side import CoreSide, Message, Run

MIB = 1 << 20


def announce(core: CoreSide, text: bytes, size: int | None = None) -> tuple[Run, SendStream]:
    """Say that a start comes which is this long; its text is in the outbox and waits for credit."""
    run = core.new_run()
    stream = SendStream(run.base + START_STREAM)
    for at in range(0, len(text), 100_000):
        stream.write(text[at : at + 100_000])
    core.outbox.add(stream)
    core.send({"type": "start", "id": run.id, "n": run.number, "bytes": len(text) if size is None else size})
    return run, stream


def text_of(*argv: str, **fields: object) -> bytes:
    return json.dumps({"type": "start", "argv": argv, **fields}).encode()


def begun(core: CoreSide, run: Run) -> None:
    """Give the credit that was for nobody before, as a core does."""
    core.wait(lambda: run.pid is not None or run.record is not None or run.refused is not None)
    core.give_credit(run)


def record(run: Run) -> Message:
    assert run.record is not None, run.refused
    return run.record


@pytest.mark.parametrize(
    "word", ["x" * 1000, "ä\udcff😀" * 150, "\x01" * 1000], ids=["plain", "wide", "control characters"]
)
def test_a_long_start_is_as_any_other(core: CoreSide, word: str) -> None:
    run, _ = announce(core, text_of("/bin/sh", "-c", 'echo $#; printf %s "$1"', "sh", *[word] * 1500))
    begun(core, run)
    core.finish(run)
    assert record(run)["code"] == 0
    assert run.stdout == b"1500\n" + word.encode("utf-8", "surrogateescape")


def test_several_come_one_after_another_and_short_ones_pass_them(core: CoreSide) -> None:
    runs = [announce(core, text_of("/bin/echo", str(n), *["x" * 1000] * 1200))[0] for n in range(3)]
    short = core.run("/bin/echo", "short")
    assert short.stdout == b"short\n"
    for n, run in enumerate(runs):
        begun(core, run)
        core.finish(run)
        assert run.stdout.startswith(f"{n} x".encode())


def test_a_link_that_ends_in_the_middle_leaves_nothing(core: CoreSide) -> None:
    text = text_of("/bin/echo", *["x" * 1000] * 1500)
    run, stream = announce(core, text[:300_000], len(text))
    core.wait(lambda: stream.sent == 300_000)
    assert core.link()["sessions"] == []
    core.outbox.remove(stream.number)
    again = SendStream(stream.number)
    again.write(text)
    core.outbox.add(again)
    core.send({"type": "start", "id": run.id, "n": run.number, "bytes": len(text)})
    begun(core, run)
    core.finish(run)
    assert record(run)["code"] == 0
    assert len(run.stdout) == 1500 * 1001


def test_what_is_asked_of_one_that_still_comes_is_done_when_it_is_there(core: CoreSide) -> None:
    """Or a client that goes away at that moment would leave its program running."""
    run, stream = announce(core, text_of("/bin/sleep", "1000", *["0" * 1000] * 1500))
    core.send({"type": "signal", "op": "kill it", "id": run.id, "signal": 9, "scope": "all"})
    begun(core, run)
    core.finish(run)
    assert (record(run)["reason"], record(run).get("signal")) == ("signaled", 9)
    core.wait(lambda: "kill it" in core.answers)
    assert core.answers["kill it"]["error"] is None
    assert stream.sent == stream.end


@pytest.mark.parametrize("size", [0, -1, MOST_LONG + 1, None, "1"])
def test_a_length_that_makes_no_sense_is_refused(core: CoreSide, size: object) -> None:
    run = core.new_run()
    core.send({"type": "start", "id": run.id, "n": run.number, "bytes": size})
    core.wait(lambda: run.refused is not None)
    assert run.refused is not None
    assert "bytes must be an integer" in run.refused


def test_a_text_that_is_no_message_ends_the_link_and_not_the_agent(core: CoreSide) -> None:
    announce(core, b"x" * 1000)
    core.flush()
    core.serve(0.2)
    core.runs.clear()
    core.link()
    assert core.run("/bin/true").record is not None


def test_pieces_of_nothing_that_was_announced_are_passed_over(core: CoreSide) -> None:
    core.send_now(Data(4000 + START_STREAM, 0, b"x"))
    core.ping()


# what a program can be given


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": ["/bin/true", "\ud800"]},
        {"env": {"A": "\ud800"}},
        {"env": {"\ud800": "a"}},
        {"cwd": "/\ud800"},
    ],
)
def test_half_a_surrogate_pair_is_refused_and_the_agent_lives(
    core: CoreSide, fields: dict[str, object]
) -> None:
    run = core.run(**{"argv": ["/bin/true"], **fields})
    assert run.refused is not None
    assert "UTF-8 can carry" in run.refused or "variable's name" in run.refused
    assert record(core.run("/bin/true"))["code"] == 0


def test_one_argument_of_all_that_linux_takes(core: CoreSide) -> None:
    run = core.run("/bin/sh", "-c", "echo ${#1}", "sh", "x" * MAX_STRING)
    assert run.stdout == b"131071\n"


def test_too_long_an_argument_is_named(core: CoreSide) -> None:
    run = core.run("/bin/echo", "first", "ab" * 70_000)
    assert (record(run)["reason"], record(run)["stage"], record(run)["errno"]) == ("spawn", "exec", 7)
    message = record(run)["message"]
    assert message == (
        "/bin/echo: argument 2 ('abababababababababab'…) has 140,000 bytes, and Linux takes 131,071 in one"
    )


def test_too_long_a_variable_is_named(core: CoreSide) -> None:
    run = core.run("/bin/echo", env={"SHORT": "x", "LONG": "y" * 131_072})
    assert "the variable 'LONG' has 131,077 bytes" in str(record(run)["message"])


def test_too_much_in_all_says_how_much_there_may_be(core: CoreSide) -> None:
    run, _ = announce(core, text_of("/bin/true", *["x" * 1000] * 3000))
    begun(core, run)
    core.finish(run)
    assert "3,001 arguments" in str(record(run)["message"])
    assert "and Linux takes 2,097,152 in all" in str(record(run)["message"])


def test_a_larger_stack_has_room_for_more(core: CoreSide) -> None:
    fields = {"rlimits": {"stack": [16 * MIB, 16 * MIB]}}
    run, _ = announce(core, text_of("/bin/sh", "-c", "echo $#", "sh", *["x" * 1000] * 3000, **fields))
    begun(core, run)
    core.finish(run)
    assert run.stdout == b"3000\n"


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (
            {"nofile": [1 << 40, 1 << 40]},
            f"the limit nofile={1 << 40} cannot be set: the sandbox's kernel takes at most",
        ),
        ({"core": [5, 10], "nofile": [8, 1 << 40]}, f"nofile=8:{1 << 40} cannot be set"),
    ],
)
def test_a_limit_that_cannot_be_set_is_named(core: CoreSide, limits: dict[str, object], says: str) -> None:
    run = core.run("/bin/true", rlimits=limits)
    assert record(run)["stage"] == "rlimits"
    assert says in str(record(run)["message"])


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50), max_size=20
    ),
    st.dictionaries(st.text("abc", min_size=1, max_size=5), st.text("xyz", max_size=50), max_size=5),
    st.integers(0, 3000),
)
def test_the_sum_is_that_of_the_kernel(argv: list[str], env: dict[str, str], more: int) -> None:
    """fs/exec.c: every string with its NUL, and a pointer to each."""
    words = ["x", *argv, *["y" * 1000] * more]
    total = sum(len(word.encode()) + 9 for word in words)
    total += sum(len(f"{name}={value}".encode()) + 9 for name, value in env.items())
    assert (excess(words, env) is None) == (total <= 2 * MIB)
    assert excess(words, env, -1) is None


@pytest.mark.parametrize(
    ("stack", "most"),
    [
        (None, 2 * MIB),
        (8 * MIB, 2 * MIB),
        (-1, 6 * MIB),
        (1 << 40, 6 * MIB),
        (0, 128 << 10),
        (MIB, 256 << 10),
    ],
)
def test_the_room_is_a_quarter_of_the_stack_within_bounds(stack: int | None, most: int) -> None:
    assert room(stack) == most
