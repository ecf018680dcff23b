"""What a hop from route to route costs, beside the ways to write it without an engine.

A hop is: taken from an inbound queue, condition evaluated, adapter called, published to the next inbound queue, settled, counted. The
cost is that of the whole run, source included, divided by messages times hops.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack
import ormsgpack
import trio

from bench import emission, pipelines
from bench.baselines import asyncio_queues, bytewax_flow, faststream_broker, trio_channels
from bench.model import OURS, Case, Metric, Scale, Subject, at_most, better_than, within
from bench.timing import CPU, WALL
from bench.workloads.messages import KINDS, orders

A = "trio channels"
A3 = "trio channels, nowait"
AIO = "asyncio.Queue"
BARE = "trio, the calls alone"
NOWAIT = "ours, publish_nowait()"
AWAITED = "ours, publish()"
SEND = "await send()"
MORE = Metric(name="more", unit="ns than fixed")
MORE_THAN_FREE = Metric(name="more", unit="ns than without")

FIXED = "algorithm: fixed, max_concurrency: 7"
"""A limit of a stage that can have an effect, as its route has 8 permits, and has none, as no call suspends."""

SOURCES: Final[Mapping[str, emission.Source]] = {
    "a list": emission.listed,
    "a generator": emission.generated,
    "an async generator": emission.generated_async,
}


async def _pass(message: dict[str, Any]) -> dict[str, Any] | None:
    return message if message["kind"] == "order" else None


def _step(message: dict[str, Any]) -> dict[str, Any]:
    return message if message["kind"] == "order" else {}


def _changed(message: dict[str, Any]) -> dict[str, Any]:
    if message["kind"] == "order":
        message["id"] += 1
    return message


async def _rewrite_ormsgpack(data: bytes) -> bytes:
    return ormsgpack.packb(_changed(ormsgpack.unpackb(data)))


async def _rewrite_msgpack(data: bytes) -> bytes:
    return msgpack.packb(_changed(msgpack.unpackb(data)))


def _step_ormsgpack(data: bytes) -> bytes:
    return ormsgpack.packb(_changed(ormsgpack.unpackb(data)))


async def _suspend_trio(message: dict[str, Any]) -> dict[str, Any] | None:
    if message["kind"] != "order":
        return None
    await trio.lowlevel.checkpoint()
    return message


async def _suspend_asyncio(message: dict[str, Any]) -> dict[str, Any] | None:
    if message["kind"] != "order":
        return None
    await asyncio.sleep(0)
    return message


def cases(scale: Scale) -> list[Case]:
    """Pass-through, rewriting, suspending, with limits, one to three by content, emitting, and publishing alone."""
    emitting = [_emitting(scale, kind, source) for kind, source in SOURCES.items()]
    limited = [_limited(scale), _limited_stage(scale)]
    ways = [_linear(scale), _rewriting(scale), _suspending(scale), *limited, _fan_out(scale)]
    return [*ways, *emitting, _publishing(scale)]


def _linear(scale: Scale) -> Case:
    slow, fast = orders(scale.of(5_000)), orders(scale.of(30_000))
    few = orders(scale.of(100, least=50))
    text = pipelines.linear("pass", capacity=100)
    return Case(
        name="linear",
        answers="Three routes in a row, a trivial adapter and a condition each: what does a hop cost?",
        metrics=(CPU, WALL),
        subjects=(
            Subject(name=OURS, measure=pipelines.carrying(text, fast, hops=3), note="publish_batch, capacity 100"),
            Subject(
                name="ours, capacity 1000",
                measure=pipelines.carrying(pipelines.linear("pass", capacity=1000), fast, hops=3),
                note="the default capacity",
            ),
            Subject(
                name="ours, publish()",
                measure=pipelines.carrying(text, slow, hops=3, one_by_one=True),
                note="one awaited publish a message",
            ),
            Subject(name=A, measure=trio_channels.carrying(_pass, slow, hops=3, fast=False), note="one task a stage"),
            Subject(
                name=A3, measure=trio_channels.carrying(_pass, fast, hops=3, fast=True), note="by hand; no fairness"
            ),
            Subject(name=AIO, measure=asyncio_queues.carrying(_pass, fast, hops=3), note="one task a stage"),
            Subject(name="FastStream", measure=faststream_broker.carrying(few), note="its in-memory test broker"),
            Subject(name="Bytewax", measure=bytewax_flow.carrying(_step, fast), note="one worker, batches of 100"),
        ),
        targets=(better_than("cpu", A, 10), within("cpu", [A3], 1.3), at_most("cpu", 0.7, "us")),
    )


def _rewriting(scale: Scale) -> Case:
    fast = orders(scale.of(20_000))
    packed = [ormsgpack.packb(message) for message in fast]
    some = packed[: scale.of(5_000)]
    return Case(
        name="rewriting",
        answers="The same, with the payload decoded, changed and encoded at every hop.",
        metrics=(CPU, WALL),
        subjects=(
            Subject(name=OURS, measure=pipelines.carrying(pipelines.linear("rewrite", capacity=100), fast, hops=3)),
            Subject(
                name=A, measure=trio_channels.carrying(_rewrite_ormsgpack, some, hops=3, fast=False), note="ormsgpack"
            ),
            Subject(
                name="trio channels, msgpack",
                measure=trio_channels.carrying(_rewrite_msgpack, some, hops=3, fast=False),
            ),
            Subject(
                name=A3, measure=trio_channels.carrying(_rewrite_ormsgpack, packed, hops=3, fast=True), note="ormsgpack"
            ),
            Subject(name=AIO, measure=asyncio_queues.carrying(_rewrite_ormsgpack, packed, hops=3), note="ormsgpack"),
            Subject(name="Bytewax", measure=bytewax_flow.carrying(_step_ormsgpack, packed), note="ormsgpack"),
        ),
        targets=(better_than("cpu", A, 4),),
    )


def _suspending(scale: Scale) -> Case:
    fast, slow = orders(scale.of(10_000)), orders(scale.of(4_000))
    return Case(
        name="suspending",
        answers="The same, with each adapter giving up its turn once, as one that talks to a socket does.",
        metrics=(CPU, WALL),
        subjects=(
            Subject(name=OURS, measure=pipelines.carrying(pipelines.linear("suspend", capacity=100), fast, hops=3)),
            Subject(name=A, measure=trio_channels.carrying(_suspend_trio, slow, hops=3, fast=False)),
            Subject(name=A3, measure=trio_channels.carrying(_suspend_trio, slow, hops=3, fast=True)),
            Subject(name=AIO, measure=asyncio_queues.carrying(_suspend_asyncio, fast, hops=3), note="asyncio.sleep(0)"),
            Subject(
                name=BARE,
                measure=trio_channels.bare(_suspend_trio, fast[0], calls=len(fast) * 3, tasks=24),
                note="as many as our workers; no pipeline",
            ),
        ),
        targets=(within("cpu", [BARE], 1.35),),
    )


def _limited(scale: Scale) -> Case:
    many = orders(scale.of(20_000))
    text = pipelines.linear("pass", capacity=1000)
    fixed = f"{text}backpressure: {{algorithm: fixed}}\n"
    run_fixed = pipelines.carrying(fixed, many, hops=3)

    def beside_fixed(algorithm: str) -> Callable[[], Mapping[str, float]]:
        run = pipelines.carrying(f"{text}backpressure: {{algorithm: {algorithm}}}\n", many, hops=3)

        def measure() -> Mapping[str, float]:
            before, figures, after = run_fixed()["cpu"], run(), run_fixed()["cpu"]
            return {**figures, "more": (figures["cpu"] - (before + after) / 2) * 1e3}

        return measure

    return Case(
        name="limited",
        answers="As linear, with limits that adapt: what does a hop cost more than with a fixed one, run before and after?",
        metrics=(CPU, MORE),
        subjects=(
            Subject(name=OURS, measure=beside_fixed("adaptive"), note="algorithm: adaptive"),
            Subject(name="ours, aimd", measure=beside_fixed("aimd"), note="algorithm: aimd"),
            Subject(name="ours, fixed", measure=beside_fixed("fixed"), note="algorithm: fixed, against itself"),
            Subject(name="ours, no limit", measure=pipelines.carrying(text, many, hops=3), note="no backpressure"),
        ),
        targets=(at_most("more", 60, "ns"),),
    )


def _limited_stage(scale: Scale) -> Case:
    many = orders(scale.of(10_000))
    text = pipelines.linear("pass", capacity=1000)
    run_free = pipelines.carrying(text, many, hops=3)

    def beside_free(section: str) -> Callable[[], Mapping[str, float]]:
        limited = text.replace("{type: pass", f"{{type: pass, backpressure: {{{section}}}")
        run = pipelines.carrying(limited, many, hops=3)

        def measure() -> Mapping[str, float]:
            before, figures, after = run_free()["cpu"], run(), run_free()["cpu"]
            return {**figures, "more": (figures["cpu"] - (before + after) / 2) * 1e3}

        return measure

    return Case(
        name="limited stage",
        answers="As linear, with a limit of each stage's own calls, which always has a permit: what does a hop cost more?",
        metrics=(CPU, MORE_THAN_FREE),
        subjects=(
            Subject(name=OURS, measure=beside_free("algorithm: adaptive"), note="algorithm: adaptive"),
            Subject(
                name="ours, fixed",
                measure=beside_free(FIXED),
                note="algorithm: fixed, one less than the route's 8 permits",
            ),
            Subject(
                name="ours, by key",
                measure=beside_free(f"{FIXED}, key: kind"),
                note="a controller for each value of a field",
            ),
            Subject(name="ours, no limit", measure=run_free, note="no backpressure"),
        ),
        targets=(at_most("more", 3_000, "ns"),),
    )


def _fan_out(scale: Scale) -> Case:
    fast, slow = orders(scale.of(30_000), KINDS), orders(scale.of(6_000), KINDS)

    async def same(message: dict[str, Any]) -> dict[str, Any]:
        return message

    def choose(message: dict[str, Any]) -> str:
        return message["kind"]

    return Case(
        name="fan-out",
        answers="One route to three, each message to the one whose condition holds: what does a hop cost?",
        metrics=(CPU, WALL),
        subjects=(
            Subject(
                name=OURS,
                measure=pipelines.carrying(pipelines.fan_out(KINDS, capacity=100), fast, hops=2),
                note="three conditions evaluated",
            ),
            Subject(name=A, measure=trio_channels.routing(same, choose, KINDS, slow, fast=False), note="a dict lookup"),
            Subject(name=A3, measure=trio_channels.routing(same, choose, KINDS, fast, fast=True), note="a dict lookup"),
            Subject(name=AIO, measure=asyncio_queues.routing(same, choose, KINDS, fast), note="a dict lookup"),
        ),
        targets=(better_than("cpu", A, 10),),
    )


def _emitting(scale: Scale, kind: str, source: emission.Source) -> Case:
    many = orders(scale.of(20_000))
    return Case(
        name=f"emitting from {kind}",
        answers="What does a child cost beyond the hop that carries it on, emitted by a route's last stage or before one more?",
        metrics=(emission.LAST, emission.CHAIN),
        subjects=(
            Subject(name=OURS, measure=emission.emitting(source, many), note="pulled, encoded, named, handed on"),
            Subject(name="by hand", measure=emission.by_hand(source, many, pack=False), note="pulled, send_nowait()"),
            Subject(
                name="by hand, msgpack",
                measure=emission.by_hand(source, many, pack=True),
                note="pulled, encoded, send_nowait()",
            ),
        ),
        targets=(at_most("last", 0.6, "us"), at_most("chain", 0.9, "us")),
    )


def _publishing(scale: Scale) -> Case:
    many = orders(scale.of(20_000))
    return Case(
        name="publishing",
        answers="What does the embedding program pay for a message that it publishes, encoded and with an id?",
        metrics=(CPU, WALL),
        subjects=(
            Subject(name=OURS, measure=pipelines.publishing(many, how="batch"), note="publish_batch of 500"),
            Subject(name=NOWAIT, measure=pipelines.publishing(many, how="nowait"), note="raises when full"),
            Subject(name=AWAITED, measure=pipelines.publishing(many, how="await"), note="a checkpoint a message"),
            Subject(
                name="send_nowait()", measure=trio_channels.sending(many, nowait=True), note="an object, not encoded"
            ),
            Subject(name=SEND, measure=trio_channels.sending(many, nowait=False), note="likewise"),
        ),
        targets=(at_most("cpu", 0.45, "us", of=NOWAIT), within("cpu", [SEND], 1.15, of=AWAITED)),
    )
