"""A core that follows a script: a real server on the real socket, speaking the real protocol, without machines.

The console's client code is exercised as it is; `tests/tui/test_real.py` holds the same behaviour on real machines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeVar, cast

from sandtop import __version__
from sandtop.agent.wire import Control, Credit, Data, Decoder, Frame, encode
from sandtop.core.fleet.attention import SandboxFacts, SessionFacts, judge
from sandtop.core.paths import find
from sandtop.core.phrases import ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

Raw = dict[str, object]
T = TypeVar("T")
NOW = 1_700_000_000.0
"""The moment at which the console's clock stands in the tests (2023-11-14 22:13:20 UTC)."""
_PIECE = 32 * 1024
_WINDOW = 64 * 1024


def sandbox(name: str, state: str = "running", **fields: object) -> Raw:
    """A sandbox as the core knows one. What it says of its attention is judged by the core's own code; see `described`.

    ``trouble``: what is wrong with its machine, agent or logs.
    """
    number = zlib.crc32(name.encode())
    return {
        "name": name, "uuid": f"{number:08x}-0000-4000-8000-{number:012x}", "state": state, "image": "base",
        "cpus": 1, "memory": 512, "disk": 1024, "network": "none", "accelerator": "tcg", "pid": None, "reason": None,
        "created_at": NOW - 7200, "started_at": NOW - 3600 if state in ("running", "paused") else None,
        "labels": {}, "env": {}, "workdir": "/root", "shell": "/bin/sh", "user": "root", "sessions": 0,
        "trouble": None, "warnings": [], "acknowledged": False, **fields,
    }  # fmt: skip


def described(raw: Raw, sessions: Iterable[FakeSession], now: float = NOW) -> Raw:
    """``raw`` as the core describes it, with why somebody should look at it."""
    its = [one for one in sessions if one.raw["sandbox"] == raw["name"]]
    heard = [float(cast("float", raw["started_at"] or 0.0)), *(one.heard_at for one in its)]
    found = judge(
        SandboxFacts(
            state=str(raw["state"]),
            reason=str(raw["reason"] or ""),
            seen=raw["acknowledged"] is True,
            trouble=cast("str | None", raw["trouble"]),
            labels=cast("dict[str, str]", raw["labels"]),
            sessions=[one.facts for one in its],
            heard_at=max(heard),
        ),
        now,
    )
    return {
        **{name: value for name, value in raw.items() if name != "trouble"},
        "attention": found.text if found else None,
        "attention_kind": found.why.value if found else None,
        "attention_session": found.session if found else None,
    }


@dataclass
class FakeSession:
    """A session: what the core knows of it, its output in order, and what was typed.

    ``raw["waits"]``: who in it waits for somebody to type, as the agent says.
    """

    raw: Raw
    pieces: list[tuple[float, int, bytes]] = field(default_factory=list[tuple[float, int, bytes]])
    typed: bytearray = field(default_factory=bytearray)
    sizes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    gaps: dict[int, int] = field(default_factory=dict[int, int])
    echo: bool = False

    def output(self, stream: int) -> bytes:
        return b"".join(data for _, which, data in self.pieces if which == stream)

    @property
    def ended(self) -> bool:
        return self.raw["state"] in ("exited", "failed", "lost")

    @property
    def heard_at(self) -> float:
        began = cast("float | None", self.raw["started_at"]) or 0.0
        return max(began, self.pieces[-1][0] if self.pieces else 0.0)

    @property
    def facts(self) -> SessionFacts:
        """What its attention depends on, as `sandtop.core.fleet.attention.facts_of` has it of a real one."""
        raw = self.raw
        code, number = cast("int | None", raw["exit_code"]), cast("int | None", raw["signal"])
        return SessionFacts(
            id=str(raw["id"]),
            argv=cast("list[str]", raw["argv"]),
            ended=ending(cast("str | None", raw["reason"]), code, number) if self.ended else "",
            failed=self.ended and code != 0,
            seen=raw["acknowledged"] is True,
            waiting="" if self.ended else str(raw["waits"]),
            held=raw["input_holder"] is not None,
            at=cast("float | None", raw["ended_at"]) or 0.0,
        )

    def listed(self) -> Raw:
        return {
            **{name: value for name, value in self.raw.items() if name != "waits"},
            "waiting": self.facts.waiting != "",
            "attention": self.facts.text,
            "stdout_bytes": len(self.output(1)) + self.gaps.get(1, 0),
            "stderr_bytes": len(self.output(2)) + self.gaps.get(2, 0),
            "stdin_bytes": len(self.typed),
        }


def session(key: str, of: str, *argv: str, tty: bool = False, **fields: object) -> FakeSession:
    """A running session of the sandbox named ``of``."""
    raw: Raw = {
        "id": (key * 16)[:16], "sandbox": of, "argv": list(argv), "tty": tty, "state": "running", "exit_code": None,
        "signal": None, "reason": None, "started_at": NOW - 600, "ended_at": None, "labels": {}, "pid": 42,
        "attached": 0, "input_holder": None, "record": None, "waits": "", "left": 0, "acknowledged": False, **fields,
    }  # fmt: skip
    return FakeSession(raw)


def ended(key: str, of: str, *argv: str, code: int = 0, **fields: object) -> FakeSession:
    """A session that exited with ``code``."""
    record = {"reason": "exited", "code": code, "stdout": 0, "stderr": 0}
    made = session(key, of, *argv)
    made.raw |= {
        "state": "exited",
        "exit_code": code,
        "reason": "exited",
        "ended_at": NOW - 60,
        "record": record,
    }
    made.raw |= fields
    return made


class FakeCore:
    """Runs in a thread of its own while it is entered; ``talk`` serves its connections."""

    talk: type[Talk]

    def __init__(self, *sandboxes: Raw, sessions: tuple[FakeSession, ...] = ()) -> None:
        self.sandboxes = {str(raw["uuid"]): raw for raw in sandboxes}
        self.sessions = {str(one.raw["id"]): one for one in sessions}
        self.requests: list[Raw] = []
        self.refusals: dict[str, Raw] = {}
        """By operation, the error that it is answered with."""
        self.following: list[Raw] = []
        """The requests of those who follow a session now."""
        self.silent = False
        """It takes requests and answers none; `speak` ends it."""
        self._news: asyncio.Condition
        self._listening: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake core", daemon=True)

    # from the test

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def die(self) -> None:
        """As after ``kill -9``: every connection breaks, nobody listens."""
        self._wait(self._close())

    def come_back(self) -> None:
        self._wait(self._open())

    def speak(self) -> None:
        """Answer all that was asked in silence."""

        def do() -> None:
            self.silent = False

        self.change(do)

    def change(self, do: Callable[[], T]) -> T:
        """Change something where the server runs; those who follow see it."""

        async def work() -> T:
            async with self._news:
                result = do()
                self._news.notify_all()
            return result

        return self._wait(work())

    def emit(self, key: str, data: bytes, stream: int = 1, at: float = NOW) -> None:
        """The session whose id begins with ``key`` writes."""
        self.change(lambda: self.session(key).pieces.append((at, stream, data)))

    def end(self, key: str, code: int = 0) -> None:
        """The session whose id begins with ``key`` exits."""
        fields = {"state": "exited", "exit_code": code, "reason": "exited", "ended_at": NOW}
        record = {"reason": "exited", "code": code}
        self.change(lambda: self.session(key).raw.update(fields, record=record))

    def of(self, name: str) -> Raw:
        """The sandbox ``name``, as it is listed."""
        return next(raw for raw in self.sandboxes.values() if raw["name"] == name)

    def session(self, key: str) -> FakeSession:
        return next(one for name, one in self.sessions.items() if name.startswith(key))

    def asked(self, op: str) -> list[Raw]:
        """The requests for ``op`` so far."""
        return [request for request in self.requests if request["op"] == op]

    def _wait(self, work: object) -> T:  # type: ignore[type-var]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    # the server

    async def _open(self) -> None:
        self._news = asyncio.Condition()
        find().runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.setblocking(False)
        listening.bind(str(find().core_socket))
        listening.listen(64)
        # asyncio's own server, and its sock_accept, lose a connection that comes while they end (ResourceWarning)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        self._listening = listening

    def _accept(self, listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        task = asyncio.create_task(self._client(accepted))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        task.add_done_callback(lambda _: accepted.close())  # it may never have begun

    async def _close(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        tasks = list(self._clients)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        find().core_socket.unlink(missing_ok=True)

    async def _client(self, accepted: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            await self.talk(self, accepted).run()

    @property
    def news(self) -> asyncio.Condition:
        return self._news

    def answer(self, request: Raw) -> Raw:
        """The result of a plain operation, carried out."""
        op = str(request["op"])
        match op:
            case "sandbox.list":
                return {"sandboxes": [self.described(raw) for raw in self.sandboxes.values()]}
            case "session.list":
                return {"sessions": [one.listed() for one in self.sessions.values()]}
            case "sandbox.create":
                labels = cast("Raw", request.get("labels") or {})
                made = sandbox(str(request["name"]), labels=labels, started_at=NOW)
                self.sandboxes[str(made["uuid"])] = made
                return {"sandbox": self.described(made)}
            case "sandbox.inspect":
                raw = self.sandboxes[str(request["sandbox"])]
                return {"sandbox": self.described(raw), "machine": {"command": ["qemu"]}}
            case "sandbox.rm":
                gone = self.sandboxes.pop(str(request["sandbox"]))
                self.sessions = {k: s for k, s in self.sessions.items() if s.raw["sandbox"] != gone["name"]}
                return {}
            case "session.rm":
                del self.sessions[str(request["session"])]
                return {}
            case "sandbox.acknowledge":
                raw = self.sandboxes[str(request["sandbox"])]
                raw["acknowledged"] = True
                return {"sandbox": self.described(raw)}
            case "session.acknowledge":
                seen = [self.sessions[key] for key in cast("list[str]", request["sessions"])]
                for one in seen:
                    one.raw["acknowledged"] = True
                return {"sessions": [one.listed() for one in seen]}
            case "session.signal":
                return {}
            case "session.exec":
                return {"session": self._start(request).listed()}
            case _:
                raw = self.sandboxes[str(request["sandbox"])]
                raw["state"] = {"start": "running", "restart": "running", "resume": "running", "stop": "stopped",
                                "pause": "paused"}[op.removeprefix("sandbox.")]  # fmt: skip
                return {"sandbox": self.described(raw)}

    def described(self, raw: Raw) -> Raw:
        return described(raw, self.sessions.values())

    def _start(self, request: Raw) -> FakeSession:
        of = str(self.sandboxes[str(request["sandbox"])]["name"])
        argv = request.get("argv") or ["/bin/sh", "-c", str(request.get("script"))]
        made = session("", of, *cast("list[str]", argv), tty=request.get("tty") is not None, started_at=NOW)
        made.raw["id"] = str(request["id"])
        made.echo = made.raw["tty"] is True
        self.sessions[str(request["id"])] = made
        return made


class Talk:
    """One connection."""

    def __init__(self, core: FakeCore, link: socket.socket) -> None:
        self._core = core
        self._link = link
        self._loop = asyncio.get_running_loop()
        link.setblocking(False)
        self._decoder = Decoder()
        self._early: list[Frame] = []
        self._gone = False

    async def run(self) -> None:
        frames: list[Frame] = []
        while len(frames) < 2:
            frames += await self._receive()
        await self.send(Control({"type": "hello", "version": 1, "package": __version__, "pid": os.getpid()}))
        assert isinstance(frames[1], Control)
        request = frames[1].message
        self._early = frames[2:]
        op = str(request["op"])
        self._core.requests.append(request)
        async with self._core.news:
            await self._core.news.wait_for(lambda: not self._core.silent)
        if (refusal := self._core.refusals.get(op)) is not None:
            await self.send(Control({"type": "error", **refusal}))
        elif op == "session.follow":
            self._core.following.append(request)
            try:
                await self.follow(request)
            finally:
                self._core.following.remove(request)
        elif op == "session.logs":
            await self.logs(request)
        else:
            result = self._core.answer(request)
            if op == "sandbox.create":
                await self.send(Control({"type": "progress", "message": "booting"}))
            await self.send(Control({"type": "result", **result}))

    async def _receive(self) -> list[Frame]:
        data = await self._loop.sock_recv(self._link, 65536)
        if not data:
            raise ConnectionError
        return self._decoder.feed(data)

    async def send(self, *frames: Frame) -> None:
        await self._loop.sock_sendall(self._link, b"".join(map(encode, frames)))

    async def follow(self, request: Raw) -> None:
        one = self._core.sessions[str(request["session"])]
        if (
            one.raw["input_holder"] == "other"
            and request.get("input") is True
            and request.get("take") is not True
        ):
            await self.send(Control({"type": "error", "code": "wrong-state", "message": "other types"}))
            return
        begin = request.get("stdout")
        at = begin if isinstance(begin, int) else 0
        started: Raw = {
            "type": "started",
            "session": one.raw["id"],
            "pid": 42,
            "tty": one.raw["tty"],
            "from": at,
        }
        await self.send(Control({**started, "live_from": len(one.output(1))}))
        if request.get("input") is True:
            await self.send(Control({"type": "holder", "label": "test", "you": True}))
            await self.send(Credit(0, len(one.typed), len(one.typed) + _WINDOW))
        listening = asyncio.create_task(self._listen(one))
        mine = request.get("input") is True and request.get("take") is not True
        try:
            while True:
                if mine and one.raw["input_holder"] == "other":
                    mine = False
                    await self.send(Control({"type": "holder", "label": "other", "you": False}))
                    await self.send(Control({"type": "lost-input", "reason": "taken over"}))
                data = one.output(1)[at:]
                for start in range(0, len(data), _PIECE):
                    await self.send(Data(1, at, data[start : start + _PIECE]))
                    at += len(data[start : start + _PIECE])
                if one.ended and at >= len(one.output(1)):
                    break
                if self._gone:
                    return
                async with self._core.news:
                    await self._core.news.wait_for(
                        lambda at=at, mine=mine: (  # type: ignore[misc]
                            len(one.output(1)) > at
                            or one.ended
                            or self._gone
                            or (mine and one.raw["input_holder"] == "other")
                        )
                    )
            await self.send(Control({"type": "result", "record": one.raw["record"], "session": one.listed()}))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, one: FakeSession) -> None:
        while True:
            early, self._early = self._early, []
            try:
                frames = early or await self._receive()
            except ConnectionError:
                async with self._core.news:
                    self._gone = True
                    self._core.news.notify_all()
                return
            for frame in frames:
                async with self._core.news:
                    if isinstance(frame, Data):
                        one.typed += frame.data
                        if one.echo:
                            one.pieces.append((NOW, 1, frame.data.replace(b"\r", b"\r\n")))
                    elif isinstance(frame, Control) and frame.message["type"] == "resize":
                        one.sizes.append(
                            (cast("int", frame.message["rows"]), cast("int", frame.message["columns"]))
                        )
                    self._core.news.notify_all()
                if isinstance(frame, Data):
                    await self.send(Credit(0, len(one.typed), len(one.typed) + _WINDOW))

    async def logs(self, request: Raw) -> None:
        one = self._core.sessions[str(request["session"])]
        at = {1: one.gaps.get(1, 0), 2: one.gaps.get(2, 0)}
        for stream, count in one.gaps.items():
            await self.send(Control({"type": "gap", "stream": stream, "bytes": count}))
        done = 0
        pieces = _last_lines(one.pieces, cast("int | None", request.get("tail")), at)
        while True:
            for when, stream, data in pieces:
                await self.send(Control({"type": "time", "at": when}))
                for start in range(0, len(data), _PIECE):
                    part = data[start : start + _PIECE]
                    await self.send(Data(stream, at[stream], part))
                    at[stream] += len(part)
            done = max(done, len(one.pieces)) if not pieces else done + len(pieces)
            done = len(one.pieces) if done > len(one.pieces) else done
            if not request.get("follow") or (one.ended and done >= len(one.pieces)):
                break
            async with self._core.news:
                await self._core.news.wait_for(lambda done=done: len(one.pieces) > done or one.ended)  # type: ignore[misc]
            pieces = one.pieces[done:]
        await self.send(Control({"type": "result", "session": one.listed()}))


def _last_lines(
    pieces: list[tuple[float, int, bytes]], tail: int | None, at: dict[int, int]
) -> list[tuple[float, int, bytes]]:
    """As many pieces from the end as hold ``tail`` lines; ``at`` skips the others. Empty ones keep the count."""
    if tail is None:
        return list(pieces)
    kept: list[tuple[float, int, bytes]] = []
    left = tail
    for when, stream, data in reversed(pieces):
        lines = data.splitlines(keepends=True)
        shown = b"".join(lines[-left:]) if left > 0 else b""
        left -= len(lines)
        at[stream] += len(data) - len(shown)
        kept.append((when, stream, shown))
    return kept[::-1]


FakeCore.talk = Talk
