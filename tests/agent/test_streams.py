"""Streams, and the claim that matters: a link cut at any byte and opened again goes on, every byte exactly once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import (
    MAX_CONTROL_QUEUE,
    MAX_DATA,
    AgentHandshake,
    Control,
    Credit,
    Data,
    Decoder,
    Eof,
    HostHandshake,
    Outbox,
    ProtocolError,
    ReceiveWindow,
    SendStream,
    answer,
    marker,
)
from sandtop.agent.wire.limits import FIRST_CONNECTION
from sandtop.agent.wire.streams import LATER, SOON

from .strategies import PATIENT

TOKEN = "ab" * 16
STREAM = 5


def drain(outbox: Outbox) -> bytes:
    sent = b""
    while (frame := outbox.pull()) is not None:
        sent += b"".join(frame)
    return sent


class Side:
    """One end: sends ``text`` and receives the other's, in a window of ``room`` bytes."""

    def __init__(self, text: bytes, room: int, write: int) -> None:
        self.text = text
        self.room = room
        self.write = write
        self.outbox = Outbox()
        self.sender = SendStream(STREAM)
        self.window = ReceiveWindow(STREAM)
        self.received = b""
        self.decoder = Decoder()
        self.outbox.add(self.sender)

    def begin(self) -> None:
        """A link: what a core and an agent do after the handshake."""
        self.decoder = Decoder()
        self.outbox.restart()
        self.outbox.credit(self.window.grant(self.window.received + self.room))

    def produce(self) -> None:
        """The program writes a little more, as long as its window is not full."""
        if self.sender.end < len(self.text) and self.sender.retained < self.room:
            size = min(self.write, self.room - self.sender.retained)
            self.sender.write(self.text[self.sender.end : self.sender.end + size])
        if self.sender.end == len(self.text):
            self.sender.close()
        self.outbox.wake(STREAM)

    def take(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            if isinstance(frame, Credit):
                self.outbox.take_credit(frame)
            elif isinstance(frame, Data):
                self.received += self.window.take(frame.offset, frame.data)
                self.outbox.credit(self.window.grant(self.window.received + self.room))
            elif isinstance(frame, Eof):
                self.window.finish(frame.offset)

    @property
    def done(self) -> bool:
        return self.sender.finished and self.window.finished


class Channel:
    """The port between them: after a cut, old bytes of both directions still come out, but not all."""

    def __init__(self, core: Side, agent: Side) -> None:
        self.core, self.agent = core, agent
        self.to_agent = self.to_core = b""
        self.agent_hand = AgentHandshake()
        self.core_hand: HostHandshake | None = None
        self.links = 0
        self.linked = 0  # the link that the agent is on; 0 for none

    def cut(self, lost_to_agent: int, lost_to_core: int) -> None:
        """The host closes and opens again; bytes at the end of each direction are gone for ever."""
        self.to_agent = self.to_agent[: max(0, len(self.to_agent) - lost_to_agent)]
        self.to_core = self.to_core[: max(0, len(self.to_core) - lost_to_core)]
        self.links += 1
        nonce = f"{self.links:032x}"
        self.core_hand = HostHandshake(nonce)
        self.to_agent += marker(TOKEN, nonce)

    def send(self) -> None:
        """Each side puts what it has on the wire."""
        if self.core_hand is None:
            self.core.produce()
            self.to_agent += drain(self.core.outbox)
        self.agent.produce()
        if self.linked:
            self.to_core += drain(self.agent.outbox)

    def deliver(self, count: int) -> None:
        """At most ``count`` bytes arrive on each side."""
        data, self.to_agent = self.to_agent[:count], self.to_agent[count:]
        nonce, link = self.agent_hand.feed(data)
        if nonce is not None:
            self.to_core += answer(nonce)
            self.agent.begin()
            self.linked = int(nonce, 16)
        if self.linked:
            try:
                self.agent.take(link)
            except ProtocolError:
                # half a frame with the next marker behind it: nothing counts until that marker
                assert self.linked < self.links
                self.linked = 0
        data, self.to_core = self.to_core[:count], self.to_core[count:]
        if self.core_hand is not None:
            first = self.core_hand.feed(data)
            if first is None:
                return
            self.core_hand = None
            self.core.begin()
            data = first
        self.core.take(data)


@PATIENT
@given(
    st.binary(max_size=600),
    st.binary(max_size=600),
    st.integers(1, 120),
    st.integers(1, 90),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60), st.integers(0, 60)), max_size=6),
)
def test_every_byte_arrives_once_however_often_the_link_is_cut(
    down: bytes, up: bytes, room: int, write: int, cuts: list[tuple[int, int, int]]
) -> None:
    core, agent = Side(down, room, write), Side(up, room, write)
    channel = Channel(core, agent)
    channel.cut(0, 0)
    for delivered, lost_down, lost_up in cuts:
        for _ in range(6):
            channel.send()
            channel.deliver(delivered)
            assert core.sender.retained <= room
            assert agent.sender.retained <= room
        channel.cut(lost_down, lost_up)
    for _ in range(5000):
        if core.done and agent.done:
            break
        channel.send()
        channel.deliver(97)
    assert core.received == up
    assert agent.received == down
    assert core.done
    assert agent.done


@PATIENT
@given(
    st.lists(st.integers(1, 3000), max_size=60), st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9000)))
)
def test_pieces_of_any_size_come_out_whole(writes: list[int], steps: list[tuple[int, int]]) -> None:
    """Small pieces are joined, before and after they were sent, and after a part was acknowledged."""
    text = bytes(n % 251 for n in range(sum(writes)))
    stream, window, received = SendStream(STREAM), ReceiveWindow(STREAM), b""
    pending = list(writes)
    for count, credit in [*steps, (len(pending), 1 << 20)]:
        for size in pending[:count]:
            stream.write(text[stream.end : stream.end + size])
        del pending[:count]
        stream.credit(window.received, window.grant(window.received + credit).limit)
        while (taken := stream.take()) is not None:
            assert 0 < len(taken[1]) <= MAX_DATA
            received += window.take(taken[0], bytes(taken[1]))
    stream.credit(window.received, window.limit)
    assert received == text
    assert stream.retained == 0


def test_single_bytes_do_not_cost_more_than_their_window() -> None:
    stream = SendStream(STREAM)
    stream.credit(0, 1 << 20)
    for _ in range(20_000):
        stream.write(b"x")
        stream.take()
    stream.rewind()
    stream.credit(0, 1 << 20)
    frames = 0
    while stream.take() is not None:
        frames += 1
    assert frames <= 25


def test_nothing_is_sent_before_a_credit_of_this_link() -> None:
    outbox, stream = Outbox(), SendStream(STREAM)
    outbox.add(stream)
    stream.write(b"abc")
    outbox.wake(STREAM)
    assert outbox.pull() is None
    outbox.take_credit(Credit(STREAM, 0, 10))
    assert drain(outbox).endswith(b"abc\0")
    outbox.take_credit(Credit(STREAM, 3, 10))
    outbox.restart()
    stream.close()
    outbox.wake(STREAM)
    assert outbox.pull() is None, "not even an eof"
    outbox.take_credit(Credit(STREAM, 3, 10))
    assert outbox.pull() is not None


def test_control_goes_first_then_credit_then_each_stream_in_turn() -> None:
    outbox = Outbox()
    for number in (1, 2):
        stream = SendStream(number)
        stream.credit(0, 1 << 20)
        stream.write(bytes(MAX_DATA + 1))
        outbox.add(stream)
    outbox.credit(Credit(9, 0, 1))
    outbox.credit(Credit(9, 0, 2))
    outbox.control({"type": "x"})
    frames = Decoder().feed(drain(outbox))
    assert frames[:2] == [Control({"type": "x"}), Credit(9, 0, 2)]
    assert [frame.stream for frame in frames[2:] if isinstance(frame, Data)] == [1, 2, 1, 2]


def test_sessions_and_connections_take_turns() -> None:
    """However many connections send, every second frame is a session's, such as the bytes of a key."""
    outbox, behind = Outbox(), [FIRST_CONNECTION + n for n in range(4)]
    for number in (*behind, 4, 8):
        stream = SendStream(number)
        outbox.add(stream)
        stream.write(bytes(2 * MAX_DATA))
        stream.write(bytes(2 * MAX_DATA))
        outbox.take_credit(Credit(number, 0, MAX_DATA * 3))
    frames = Decoder().feed(drain(outbox))
    numbers = [frame.stream for frame in frames if isinstance(frame, Data)]
    assert numbers[:8] == [4, behind[0], 8, behind[1], 4, behind[2], 8, behind[3]]
    assert set(numbers[-4:]) == set(behind)


def test_what_is_postponed_goes_right_before_the_next_that_is_sent() -> None:
    stream = SendStream(1)
    stream.credit(0, 1 << 20)
    outbox = Outbox()
    outbox.add(stream)
    first, second = Control({"type": "first"}), Control({"type": "second"})

    outbox.postpone(first.message, SOON)
    assert outbox.pull() is None
    assert not outbox.empty
    outbox.control(second.message)
    assert Decoder().feed(drain(outbox)) == [first, second]

    outbox.postpone(first.message, SOON)
    stream.write(b"output")
    outbox.wake(1)
    assert Decoder().feed(drain(outbox)) == [first, Data(1, 0, b"output")]

    outbox.postpone(first.message, SOON)
    outbox.credit(Credit(9, 0, 1))
    assert Decoder().feed(drain(outbox)) == [first, Credit(9, 0, 1)]

    outbox.postpone(first.message, SOON)
    outbox.hurry()
    assert Decoder().feed(drain(outbox)) == [first]

    outbox.postpone(first.message, SOON)
    outbox.restart()
    assert outbox.empty


def test_a_postponed_credit_goes_right_before_the_next_that_is_sent() -> None:
    stream = SendStream(1)
    stream.credit(0, 1 << 20)
    outbox = Outbox()
    outbox.add(stream)
    early, late = Credit(9, 1, 5), Credit(9, 2, 6)

    outbox.postpone_credit(early)
    outbox.postpone_credit(late)
    assert outbox.pull() is None
    assert outbox.patience == SOON
    assert not outbox.empty
    stream.write(b"echo")
    outbox.wake(1)
    assert Decoder().feed(drain(outbox)) == [late, Data(1, 0, b"echo")], "the last word of a stream, once"

    outbox.postpone_credit(late)
    outbox.control({"type": "x"})
    assert Decoder().feed(drain(outbox)) == [Control({"type": "x"}), late]

    outbox.postpone_credit(late)
    outbox.hurry()
    assert Decoder().feed(drain(outbox)) == [late]

    outbox.postpone_credit(early)
    outbox.credit(late)
    assert Decoder().feed(drain(outbox)) == [late], "one that was postponed earlier does not come after it"

    outbox.postpone_credit(late)
    outbox.restart()
    assert outbox.empty


def test_a_peer_that_does_not_read_is_an_error_and_not_a_leak() -> None:
    outbox = Outbox()
    for _ in range(MAX_CONTROL_QUEUE // 2):
        outbox.control({"type": "x"})
        outbox.postpone({"type": "x"}, LATER)
    with pytest.raises(ProtocolError):
        outbox.control({"type": "x"})
    with pytest.raises(ProtocolError):
        outbox.postpone({"type": "x"}, LATER)


def test_what_is_postponed_goes_alone_after_the_shortest_of_the_times_that_were_named() -> None:
    assert Outbox().patience is None
    outbox = Outbox()
    outbox.postpone({"type": "x"}, LATER)
    assert outbox.patience == LATER
    outbox.postpone_credit(Credit(9, 0, 1))
    outbox.postpone({"type": "x"}, LATER)
    assert outbox.patience == SOON
    outbox.hurry()
    assert outbox.patience is None


def test_a_receiver_refuses_what_it_did_not_allow() -> None:
    window = ReceiveWindow(STREAM)
    window.grant(10)
    assert window.take(0, b"abc") == b"abc"
    assert window.take(0, b"abcde") == b"de", "a repeat is dropped"
    assert window.take(1, b"bc") == b""
    with pytest.raises(ProtocolError):
        window.take(6, b"g")
    with pytest.raises(ProtocolError):
        window.take(5, b"fghijk")
    with pytest.raises(ProtocolError):
        window.finish(4)
    with pytest.raises(ProtocolError):
        window.finish(6)
    window.finish(5)
    assert window.finished
    with pytest.raises(ProtocolError):
        window.take(5, b"f")


def test_a_sender_refuses_an_acknowledgement_of_what_it_never_wrote() -> None:
    stream = SendStream(STREAM)
    stream.write(b"abc")
    with pytest.raises(ProtocolError):
        stream.credit(4, 10)
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.write(b"d")


def test_an_acknowledgement_beyond_what_this_link_sent_moves_on() -> None:
    """The core may have stored what was on its way when the old link broke."""
    stream = SendStream(STREAM)
    stream.write(b"a" * 2000)
    stream.write(b"b" * 2000)
    stream.credit(0, 4000)
    stream.take()
    stream.rewind()
    stream.credit(3000, 5000)
    assert stream.take() == (3000, b"b" * 1000)
    stream.credit(1000, 2000)
    assert (stream.acked, stream.limit) == (3000, 5000), "an older word changes nothing"
