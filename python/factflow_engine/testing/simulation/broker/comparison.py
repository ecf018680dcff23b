"""Comparison of two queue providers: the same history is played on both, and both must show the same.

For authors of providers: what a user proves in a simulation holds on a provider that passes. Each step has a time of its
own, a tick, and delays and leases end between two ticks, so that neither the speed of a provider nor how often it polls can
be seen. Free of any test framework; kept separate from `histories`, which are data.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from factflow_engine.testing.conformance.expectations import ConformanceError, OpenQueue
from factflow_engine.testing.simulation.broker.histories import (
    Reopen,
    Step,
    Wait,
    random_history,
)
from factflow_engine.testing.simulation.broker.playing import Kill, Player

T = TypeVar("T")

TICK_SECONDS: Final = 1.5
"""Time between two steps; more than the longest lease that a provider may be opened with, one second."""

LOOK_SECONDS: Final = 1.0
"""Time between a step and the look at its effects."""


async def compare_queues(
    open_one: OpenQueue,
    open_other: OpenQueue,
    *,
    seed: int = 0,
    steps: int = 60,
    history: Sequence[Step] | None = None,
    kill: Kill | None = None,
    capacity: int = 12,
    prefetch: int = 5,
    in_order: bool = False,
    isolates: bool = False,
) -> None:
    """Play a history on two providers, and check that both show the same at each step.

    Compared are the statuses of what is published, what is handed out, in which order and with which attempt, what waits
    for room, what consumers have, what is left in each queue and what others have of it. Left out is what one of them lacks:
    transactions and deaths, and, if one does not outlive its process, duplicates, delays, reopening and the order of what
    comes again; give such a provider more capacity and prefetch than the history has messages. Best run in virtual time (`in_virtual_time`); each step takes 1.5 seconds.

    Args:
        open_one: Opens the provider, with a lease of a second or less. Openings at the same time are processes with the
            same queues, which are empty at first.
        open_other: Opens the other provider, likewise.
        seed: Draws the history.
        steps: Its length.
        history: The history, instead of one that is drawn.
        kill: Ends the process of an opening of either as a kill does; None for no deaths.
        capacity: Messages at which publishers wait.
        prefetch: Most unsettled deliveries of a consumer.
        in_order: True to consume in order (`OrderedQueueProtocol`), of providers that have it.
        isolates: True to isolate suspects (`IsolatingSubscription`), of subscriptions that can. Give a prefetch of more
            than the capacity then: which of several messages comes first is open.

    Raises:
        ConformanceError: They differ; the text says in which step, and how.

    Example:
        async def run(simulation: Simulation) -> None:
            clock, randomness = simulation.seams.clock, simulation.randomness
            broker = Broker(clock=clock, randomness=randomness, lease_seconds=1)
            mine = Broker(clock=clock, randomness=randomness, lease_seconds=1)  # the provider to be judged
            await compare_queues(broker.open, mine.open, seed=7, steps=20)

        in_virtual_time(run, seed=0)
    """
    played = random_history(seed, steps) if history is None else history
    async with trio.open_nursery() as nursery:
        players = [
            Player(
                open_queue,
                nursery,
                kill=kill,
                capacity=capacity,
                prefetch=prefetch,
                in_order=in_order,
                isolates=isolates,
            )
            for open_queue in (open_one, open_other)
        ]
        for player in players:
            await player.start()
        shared = {name: all(player.features[name] for player in players) for name in players[0].features}
        for player in players:
            player.features = shared
        start = trio.current_time()
        ticks = 1
        for number, step in enumerate([*played, Wait(3), Reopen(), None]):
            await trio.sleep_until(start + ticks * TICK_SECONDS)
            shown = await _together([partial(player.play, step) for player in players])
            await trio.sleep_until(start + ticks * TICK_SECONDS + LOOK_SECONDS)
            looks = await _together([player.look for player in players])
            if shown[0] != shown[1] or looks[0] != looks[1]:
                raise ConformanceError(_difference(played[: number + 1], step, shown, looks))
            ticks += step.ticks if isinstance(step, Wait) else 1
        nursery.cancel_scope.cancel()


async def _together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of calls that run at the same time."""
    results: dict[int, T] = {}

    async def run(place: int) -> None:
        results[place] = await calls[place]()

    async with trio.open_nursery() as nursery:
        for place in range(len(calls)):
            nursery.start_soon(run, place)
    return [results[place] for place in range(len(calls))]


def _difference(
    played: Sequence[Step], step: Step | None, shown: Sequence[object], looks: Sequence[Mapping[str, object]]
) -> str:
    lines = [f"the providers differ at step {len(played)}: {step if step is not None else 'receive all that is left'}"]
    if shown[0] != shown[1]:
        lines += [f"  the one showed {shown[0]!r}", f"  the other showed {shown[1]!r}"]
    for name, seen in looks[0].items():
        if seen != looks[1][name]:
            lines.append(f"  {name}: {seen!r} at the one, {looks[1][name]!r} at the other")
    return "\n".join([*lines, "the history:", *(f"  {each!r}," for each in played)])
