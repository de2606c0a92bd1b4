"""A guest that says of files what it likes, says nothing, or is of an older release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.core.channel.scripted import ScriptedAgent, listening, run, running_core

from sandtop.agent.wire import Control, Credit, Data, Decoder, Eof, Outbox, ProtocolError, encode
from sandtop.agent.wire.limits import FILE_WINDOW, PIPE_WINDOW
from sandtop.core.errors import ChannelError, InvalidRequest, WrongState
from sandtop.core.files import FileFailed, FilesLost, Lines, entries_of, happenings_of, info_of
from sandtop.core.files.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandtop.core.files.call import FileCall

NUMBER = 7
FILE = {
    "kind": "file",
    "size": 1,
    "mode": 0o644,
    "uid": 0,
    "gid": 0,
    "links": 1,
    "mtime_ns": 5,
    "target": None,
}


class Wire:
    """What a tunnel has of a link: what it would send is kept."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.sent: list[dict[str, object]] = []

    def send(self, message: dict[str, object]) -> None:
        self.sent.append(message)

    def flush(self) -> None: ...


class Server:
    """The guest's end of a tunnel, in the hands of a test."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.tunnel = Tunnel(self.wire, "box", "files-1", NUMBER)  # type: ignore[arg-type]  # pyright: ignore
        self.tunnel.open(None, "files")
        self.call: FileCall = self.tunnel.begin("read", {"path": "/file"})
        self.offset = 0

    def say(self, *frames: object) -> bool:
        """``frames``, or bytes, by its stdout."""
        data = b"".join(one if isinstance(one, bytes) else encode(one) for one in frames)  # type: ignore[arg-type]  # pyright: ignore
        news = False
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            news |= self.tunnel.data(Data(NUMBER * 4 + 1, self.offset, piece))
            self.offset += len(piece)
        return news

    def killed(self) -> bool:
        return any(one["type"] == "signal" and one["signal"] == 9 for one in self.wire.sent)


def on_a_clock(main: Callable[[], Awaitable[None]]) -> None:
    run(main, seconds=600)


@pytest.mark.parametrize(
    "said",
    [
        b"\xff" * 200,
        encode(Data(1, 5, b"gap")),
        encode(Eof(1, 9)),
        encode(Data(1, 0, b"x")) + encode(Eof(1, 0)),
        encode(Credit(1, 5, 9)),
        encode(Control({"type": "opened", "call": 1, "x": "y" * 70_000})),
        encode(Control({"type": "opened", "call": 1, "x": [0] * 5000})),
    ],
)
def test_nonsense_ends_the_server_and_not_the_link(said: bytes) -> None:
    async def main() -> None:
        server = Server()
        server.say(said)
        assert server.killed()
        with pytest.raises(FilesLost):
            await server.call.wait_answer()
        assert not server.say(b"more")
        assert not server.tunnel.busy

    on_a_clock(main)


def test_what_is_not_taken_is_bounded() -> None:
    async def main() -> None:
        server = Server()
        for at in range(0, FILE_WINDOW, 1 << 16):
            server.say(Data(1, at, bytes(1 << 16)))
        assert not server.killed()
        server.say(Data(1, FILE_WINDOW, b"one too many"))
        assert server.killed()
        with pytest.raises(ProtocolError):  # the agent itself does not keep to its credit
            server.tunnel.data(Data(NUMBER * 4 + 1, server.offset, bytes(PIPE_WINDOW + 1)))

    on_a_clock(main)


def test_what_changes_nothing_is_no_news() -> None:
    async def main() -> None:
        server = Server()
        assert server.say(Control({"type": "opened", "call": 1, **FILE}))
        for frame in (
            Control({"type": "opened", "call": 2}),
            Control({"type": "answer", "call": "1"}),
            Control({"type": "alive", "call": 1}),
            Control({"type": "sing", "call": 1}),
            Data(9, 0, b"of nobody"),
            Data(1, 0, b""),
        ):
            assert not server.say(frame)
        assert server.say(Control({"type": "failed", "call": 1, "errno": "x", "why": 7, "path": []}))
        with pytest.raises(FileFailed) as caught:
            await server.call.wait_answer()
        assert (caught.value.errno, caught.value.why, caught.value.path) == (5, "", None)

    on_a_clock(main)


def test_silence_has_a_deadline_and_a_sign_of_life_moves_it() -> None:
    async def main() -> None:
        server, begun = Server(), trio.current_time()
        with pytest.raises(ChannelError, match="nothing was heard of the files of box for 30 s"):
            await server.call.wait_answer()
        assert round(trio.current_time() - begun) == 30
        async with trio.open_nursery() as nursery:

            async def live() -> None:
                for _ in range(5):
                    await trio.sleep(20)
                    server.say(Control({"type": "alive", "call": 1}))
                server.say(Control({"type": "answer", "call": 1}))

            nursery.start_soon(live)
            await server.call.wait_answer()

    on_a_clock(main)


@pytest.mark.parametrize(
    ("record", "kind", "words"),
    [
        ({"reason": "spawn", "stage": "user", "message": "there is no user 'x'"}, InvalidRequest, "no user"),
        ({"reason": "spawn", "stage": "exec", "message": "no"}, WrongState, "cannot be reached: no"),
        ({"reason": "oom"}, ChannelError, "no memory"),
        ({"reason": "exited", "code": 0}, FilesLost, "has ended"),
        (None, FilesLost, "has ended"),
    ],
)
def test_a_server_that_ends_ends_its_calls(record: object, kind: type[Exception], words: str) -> None:
    async def main() -> None:
        server = Server()
        server.tunnel.message({"type": "exited", "record": record})
        with pytest.raises(kind, match=words):
            await server.call.wait_answer()
        assert {"type": "release", "id": "files-1"} in server.wire.sent

    on_a_clock(main)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "door"}, {"kind": None}, {"kind": []}, {"size": -1}, {"size": "1"}, {"size": True}, {"mode": 0o10000},
        {"uid": 1 << 32}, {"mtime_ns": 1.5}, {"mtime_ns": 1 << 63}, {"links": None}, {"target": 5}, {"target": "a\0b"},
        {"target": "\ud800"}, {"target": "x" * 4097},
    ],
)  # fmt: skip
def test_what_is_said_of_a_file_is_checked(wrong: dict[str, object]) -> None:
    assert info_of(FILE, "/a/b").name == "b"
    with pytest.raises(ProtocolError):
        info_of({**FILE, **wrong}, "/a/b")


ROW: list[Any] = ["name", "file", 1, 0o644, 0, 0, 1, 5_000_000_000, None]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, ""), (0, "."), (0, ".."), (0, "a/b"), (0, "a\0"), (0, "x" * 256), (0, "\ud800"), (0, 5), (1, "door"),
        (1, []),
        (2, None), (3, -1), (7, "now"), (8, 5),
    ],
)  # fmt: skip
def test_entries_of_a_listing_are_checked(at: int, value: object) -> None:
    assert entries_of([ROW]) == [["name", "file", 1, 0o644, 0, 0, 1, 5.0, None]]
    assert entries_of([["x", "unknown", *[None] * 7]]) == [["x", "unknown", *[None] * 7]]
    with pytest.raises(ProtocolError):
        entries_of([[*ROW[:at], value, *ROW[at + 1 :]]])
    with pytest.raises(ProtocolError):
        entries_of([ROW[:-1]])


@pytest.mark.parametrize(
    "row",
    [
        ["sang", "", False, 0],
        [[], "", False, 0],
        ["created", "a/b", False, 0],
        ["created", "a", 1, 0],
        ["gone"],
    ],
)
def test_happenings_are_checked(row: list[Any]) -> None:
    assert happenings_of([["created", "a", False, 0]]) == [["created", "a", False, 0]]
    with pytest.raises(ProtocolError):
        happenings_of([row])


def test_lines_are_bounded_and_made_of_rows() -> None:
    lines = Lines()
    assert lines.feed(b"[[1],") == []
    assert lines.feed(b"[2]]\n[[3]]\n[") == [[1], [2], [3]]
    for wrong in (b"5]\n", b"{}\n", b"[5]\n", b"\n", b"\xff\n", b"[" * 9000 + b"\n", b"x" * (300 << 10)):
        with pytest.raises(ProtocolError):
            Lines().feed(wrong)


def test_an_agent_of_an_older_release_is_met_with_a_clear_word(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, ScriptedAgent().serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            with pytest.raises(WrongState, match=r"of an older sandtop.*sandtop restart box"):
                async with core.sessions.files.call("stat", {"path": "/"}, None):
                    raise AssertionError

    on_a_clock(main)


def test_frames_are_those_of_the_wire() -> None:
    """What a server is sent are frames, one behind the other, in the stream of its stdin."""

    async def main() -> None:
        server = Server()
        server.tunnel.pump()
        server.wire.outbox.take_credit(Credit(NUMBER * 4, 0, 1 << 20))
        sent = bytearray()
        for frame in Decoder().feed(server.wire.outbox.batch()):
            if isinstance(frame, Data):
                sent += frame.data
        (call,) = Decoder().feed(bytes(sent))
        assert call == Control({"type": "call", "call": 1, "do": "read", "path": "/file"})

    on_a_clock(main)
