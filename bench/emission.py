"""Pipelines that a lazy source feeds: one message whose stage emits all others, and the same pulled by hand.

Kept separate from `pipelines` because a figure here is a difference: what a child costs beyond the hop that carries it on.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgpack
import trio

from bench import pipelines
from bench.model import Metric
from bench.timing import Stopwatch
from factflow_engine import (
    AdapterResult,
    OrchestratorManager,
    PipelineAdapter,
    PipelineContext,
    PipelineGlobalConfig,
)

Message = Mapping[str, Any]
Source = Callable[[Sequence[Message]], Any]

CAPACITY: Final = 1000

LAST: Final = Metric(name="last", unit="us")
CHAIN: Final = Metric(name="chain", unit="us")
"""CPU time of a child emitted by the last stage, and by one that another stage comes after."""


def listed(messages: Sequence[Message]) -> Sequence[Message]:
    """A list."""
    return messages


def generated(messages: Sequence[Message]) -> Iterator[Message]:
    """A generator."""
    yield from messages


async def generated_async(messages: Sequence[Message]) -> AsyncIterator[Message]:
    """An async generator that never has to wait."""
    for message in messages:
        yield message


def emitting(source: Source, messages: Sequence[Message]) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: emit all messages from one and wait for the last; cost of a child beyond the hop that carries it on.

    A hop is measured beside it, in the same round, as what a second route adds to a batch.

    Args:
        source: Makes what the stage emits.
        messages: The children.
    """

    class Emit(PipelineAdapter):
        async def process(self, context: PipelineContext) -> AdapterResult:
            return AdapterResult(emitted=source(messages))

    known = pipelines.registry(emit=Emit)
    last, chain = (pipelines.load(_text(in_chain=in_chain), known) for in_chain in (False, True))
    one, two = (
        pipelines.carrying(pipelines.linear("pass", capacity=CAPACITY, routes=hops), messages, hops=hops)
        for hops in (1, 2)
    )

    async def fed(config: PipelineGlobalConfig) -> float:
        async with OrchestratorManager(registry=known) as manager:
            execution = await manager.start(config)
            with Stopwatch() as watch:
                await execution.publish("r0", messages[0])
                report = await execution.complete()
            pipelines.all_ended(report, 2 * len(messages) + 1, hops=1)  # each child in two routes, and their parent
            return watch.per(len(messages))["cpu"]

    def measure() -> Mapping[str, float]:
        costs = trio.run(fed, last), trio.run(fed, chain)
        hop = 2 * two()["cpu"] - one()["cpu"]
        return {LAST.name: costs[0] - hop, CHAIN.name: costs[1] - hop}

    return measure


def by_hand(source: Source, messages: Sequence[Message], *, pack: bool) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: pull the same source in a loop and send each element to a channel that has room for all.

    Args:
        source: Makes what is pulled.
        messages: Its elements.
        pack: True if each element is encoded by msgpack, as what is stored or sent has to be.
    """

    async def run() -> Mapping[str, float]:
        send, receive = trio.open_memory_channel[Any](len(messages))
        packed: Callable[[Message], Any] = msgpack.packb if pack else _as_it_is
        pulled = source(messages)
        with Stopwatch() as watch:
            if isinstance(pulled, AsyncIterator):
                async for message in pulled:
                    send.send_nowait(packed(message))
            else:
                for message in pulled:
                    send.send_nowait(packed(message))
        sent = receive.statistics().current_buffer_used
        send.close()
        receive.close()
        if sent != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {sent} came through")
        return {LAST.name: watch.per(sent)["cpu"]}

    return lambda: trio.run(run)


def _as_it_is(message: Message) -> Message:
    return message


def _text(*, in_chain: bool) -> str:
    step = "{type: pass, condition: {field: kind, operator: eq, value: order}}"
    return "\n".join(
        (
            'version: "1.0"',
            "routes:",
            "  r0:",
            f"    inbound: {{capacity: {CAPACITY}}}",
            f"    adapters: [{{type: emit}}{', ' + step if in_chain else ''}]",
            "    outbound: [{route: r1}]",
            "  r1:",
            f"    inbound: {{capacity: {CAPACITY}}}",
            f"    adapters: [{step}]",
            "",
        )
    )
