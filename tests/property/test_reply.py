"""Whatever a collector answers is an answer or none: read to an end, and nothing else raised."""

from hypothesis import given, settings
from hypothesis import strategies as st

from getpatter.telemetry.network.reply import BODY_BYTES, read_reply
from getpatter.telemetry.network.request import FAILURES

LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.0 503 Busy", b"HTTP/1.1 100 Continue", b"HTTP/1.1 204 None"),
        *(b"Content-Length: 5", b"Content-Length: 99999999999999999999", b"Content-Length: -1"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Connection: close"),
        *(b"", b"5", b"0", b"ffffffff", b"5;a=b", b"hello", b"\xff\xfe: \x00", b": ", b" folded"),
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])
ANSWERS = st.one_of(
    st.binary(max_size=300),
    st.lists(st.tuples(LINES, ENDS), max_size=30).map(
        lambda lines: b"HTTP/1.1 200 OK\r\n" + b"".join(line + end for line, end in lines)
    ),
)


class Bytes:
    """A connection that gives what it has in pieces, and then its end, or the same for ever."""

    def __init__(self, data: bytes, sizes: list[int], *, is_endless: bool) -> None:
        self._data = data
        self._left = data
        self._sizes = sizes
        self._is_endless = is_endless
        self.read = 0

    def receive(self, until: float) -> bytes:  # noqa: ARG002 - time does not pass here
        size = self._sizes[self.read % len(self._sizes)]
        if self._is_endless and not self._left and self._data:
            self._left = self._data * (8_192 // len(self._data) + 1)
        if self._is_endless and self.read > 50:  # small pieces are tried, and soon enough
            size = 8_192
        piece, self._left = self._left[:size], self._left[size:]
        self.read += 1
        return piece

    def send(self, data: bytes, until: float) -> None:
        """Nothing is sent."""

    def is_quiet(self) -> bool:
        return not self._left

    def close(self) -> None:
        """Nothing is open."""


@settings(deadline=None)
@given(
    data=ANSWERS,
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    is_endless=st.booleans(),
    is_tunnel=st.booleans(),
)
def test_reading_ends_with_an_answer_or_a_failure(
    *, data: bytes, sizes: list[int], is_endless: bool, is_tunnel: bool
) -> None:
    wire = Bytes(data, sizes, is_endless=is_endless)
    try:
        reply, is_kept = read_reply(wire, 0.0, is_tunnel=is_tunnel)
    except FAILURES:
        return
    assert 200 <= reply.status < 600
    assert len(reply.body) <= BODY_BYTES
    assert all(name == name.lower() for name in reply.headers)
    # Of a connection that has come to its end, or out of step, nothing more is expected.
    assert not is_kept or reply.headers.get("connection") != "close"
