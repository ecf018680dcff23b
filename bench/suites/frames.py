"""What values cost to encode and decode, and what frames cost to make, derive and carry."""

from collections.abc import Callable, Mapping
from functools import partial

import msgpack
import msgspec
import ormsgpack

from bench.model import OURS, Case, Scale, Subject, within
from bench.timing import NS, calls
from bench.workloads.messages import of_size
from factflow_engine.frames import Frame, pack, unpack, validate

_SIZES = (("100 B", 100, 20_000), ("1 kB", 1_000, 4_000), ("20 kB", 20_000, 200))

_ROUNDS = 45
"""Many and short: a round of a few milliseconds is either disturbed or not, and the median is of those that were not."""


def cases(scale: Scale) -> list[Case]:
    """Packing, unpacking and validating by size; then frames."""
    found = []
    for label, size, count in _SIZES:
        value = of_size(size)
        data = ormsgpack.packb(value)
        encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()
        packer = msgpack.Packer()
        compare(
            value,
            {
                "pack": unpack(pack(value)),
                "ormsgpack": ormsgpack.unpackb(ormsgpack.packb(value)),
                "msgspec": decoder.decode(encoder.encode(value)),
                "msgpack": msgpack.unpackb(packer.pack(value)),
            },
        )
        turns = scale.of(count)
        found.append(
            _versus(
                f"pack {len(data):,} B ({label})",
                "What does it cost to encode a message?",
                turns,
                ours=partial(pack, value),
                ormsgpack=partial(ormsgpack.packb, value),
                msgspec=partial(encoder.encode, value),
                msgpack=partial(packer.pack, value),
            )
        )
        found.append(
            _versus(
                f"unpack {len(data):,} B ({label})",
                "What does it cost to decode a message, checking all of it? (ormsgpack accepts trailing bytes)",
                turns,
                ours=partial(unpack, data),
                ormsgpack=partial(ormsgpack.unpackb, data),
                msgspec=partial(decoder.decode, data),
                msgpack=partial(msgpack.unpackb, data),
            )
        )
        found.append(
            Case(
                name=f"validate {len(data):,} B ({label})",
                answers="What does it cost to check a message without decoding it?",
                metrics=(NS,),
                subjects=(Subject(name=OURS, measure=calls(partial(validate, data), turns)),),
                rounds=_ROUNDS,
            )
        )
    found.append(_frames(scale.of(20_000)))
    return found


def compare(value: object, back: Mapping[str, object]) -> None:
    """Check that every codec gives back what it was given.

    Raises:
        RuntimeError: One does not, and so does other work than the others.
    """
    for name, other in back.items():
        if other != value:
            raise RuntimeError(f"{name} gives back {other!r}, not {value!r}")


def _versus(name: str, answers: str, turns: int, **subjects: Callable[[], object]) -> Case:
    return Case(
        name=name,
        answers=answers,
        metrics=(NS,),
        subjects=tuple(Subject(name=key, measure=calls(function, turns)) for key, function in subjects.items()),
        rounds=_ROUNDS,
        targets=(within("ns", [key for key in subjects if key != OURS], 1.2),),
    )


def _frames(turns: int) -> Case:
    payload = pack(of_size(100))
    frame = Frame.create(payload, message_id=bytes(range(16)), time_ns=1_700_000_000_000_000_000, key="customer-1")
    headed = frame.restamp(headers={"trace": "0af7651916cd43dd8448eb211c80319c", "tenant": "acme"})
    data = frame.encode()
    identity = bytes(range(16))
    operations: dict[str, Callable[[], object]] = {
        "Frame.create": lambda: Frame.create(payload, message_id=identity, time_ns=1),
        "child, same payload": lambda: frame.child(7, 0),
        "child, new payload": lambda: frame.child(7, 0, payload=payload),
        "child, headers carried": lambda: headed.child(7, 0),
        "restamp": lambda: frame.restamp(attempt=2),
        "encode": frame.encode,
        "Frame.decode": lambda: Frame.decode(data),
        "value": frame.value,
    }
    return Case(
        name="frame operations",
        answers="What does each thing that the engine does with a frame cost? (a Python lambda's call, about 40 ns, included)",
        metrics=(NS,),
        subjects=tuple(Subject(name=name, measure=calls(function, turns)) for name, function in operations.items()),
        rounds=_ROUNDS,
    )
