"""A stream of frames decodes the same however it is cut, and hostile streams cost nothing."""

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import CorruptError, TruncatedError
from factflow_engine.frames import Frame, FrameDecoder, pack

ID = bytes(range(16))


def frame_of(value: object) -> Frame:
    return Frame.create(pack(value), message_id=ID)


@given(st.lists(st.text(max_size=60), max_size=8), st.lists(st.integers(1, 70), min_size=1))
def test_any_cut_of_a_stream_gives_the_same_frames(texts: list[str], cuts: list[int]) -> None:
    sent = [frame_of(text) for text in texts]
    stream = b"".join(frame.encode() for frame in sent)
    decoder = FrameDecoder()
    received: list[Frame] = []
    start = 0
    while start < len(stream):
        size = cuts[start % len(cuts)]
        decoder.feed(stream[start : start + size])
        start += size
        received.extend(decoder)
    decoder.finish()
    assert received == sent
    assert decoder.next() is None
    assert decoder.pending_bytes == 0


def test_the_end_of_a_stream_within_a_frame_is_truncated() -> None:
    wire = frame_of("text").encode()
    decoder = FrameDecoder()
    decoder.feed(wire + wire[:-1])
    assert len(list(decoder)) == 1
    assert decoder.pending_bytes == len(wire) - 1
    with pytest.raises(TruncatedError) as caught:
        decoder.finish()
    assert caught.value.offset == len(wire)
    decoder.feed(wire[-1:])
    decoder.finish()
    assert decoder.next() == frame_of("text")


def test_corruption_stays_and_names_its_place_in_the_stream() -> None:
    wire = frame_of("text").encode()
    decoder = FrameDecoder()
    decoder.feed(wire)
    assert decoder.next() is not None
    decoder.feed(wire[:-1] + b"?" + wire)
    for _ in range(2):
        with pytest.raises(CorruptError, match="checksum") as caught:
            decoder.next()
        assert caught.value.offset == len(wire) + 6
    with pytest.raises(CorruptError):
        decoder.finish()
    with pytest.raises(CorruptError):
        list(decoder)


def test_what_is_no_frame_is_told_by_its_first_byte() -> None:
    decoder = FrameDecoder()
    decoder.feed(pack({"raw": "msgpack"})[:1])
    with pytest.raises(CorruptError, match="begins with 0xc1, got 0x81"):
        decoder.next()


def test_a_frame_over_the_limit_is_refused_before_it_comes() -> None:
    wire = frame_of("x" * 1000).encode()
    decoder = FrameDecoder(max_frame_bytes=500)
    decoder.feed(wire[:10])
    with pytest.raises(CorruptError, match=f"at most 500 bytes, got one of {len(wire)}"):
        decoder.next()


def in_little_memory(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process whose address space may grow by 200 MiB: what is only reserved counts, too."""
    limit = (
        "import resource\n"
        "from pathlib import Path\n"
        "from factflow_engine.frames import Frame, FrameDecoder, pack\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", limit + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and a bound on the address space")
def test_declared_lengths_reserve_nothing() -> None:
    done = in_little_memory(
        """
        decoder = FrameDecoder(max_frame_bytes=2**32 + 10)
        decoder.feed(b"\\xc1\\x00\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00" + b"\\x93")
        assert decoder.next() is None
        """
    )
    assert done.returncode == 0, f"four declared gigabytes: {done.stderr}"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and a bound on the address space")
@pytest.mark.parametrize("keeps", [False, True])
def test_a_long_stream_holds_no_memory_of_what_was_taken(keeps: bool) -> None:
    """Four hundred megabytes go through; a reader that keeps them itself ends at the bound, which is thereby seen to be one."""
    done = in_little_memory(
        f"""
        wire = Frame.create(pack("x" * 100_000), message_id=bytes(16)).encode()
        decoder, kept = FrameDecoder(), []
        for _ in range(4_000):
            decoder.feed(wire)
            frame = decoder.next()
            assert frame is not None
            if {keeps}:
                kept.append(frame)
        """
    )
    assert (done.returncode == 0) is not keeps, done.stderr
    assert ("memory" in done.stderr.lower()) is keeps, done.stderr
