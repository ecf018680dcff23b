"""Checks for providers that keep the states of stages (`StateProvider`).

Used like `durable`: the provider must be opened with a lease of a second or less. Kept separate because
storing states is optional.
"""

from collections.abc import Awaitable
from typing import Final, cast

import trio

from factflow_engine.testing.conformance.durable import LONGEST_LEASE_SECONDS
from factflow_engine.testing.conformance.expectations import (
    QUEUE,
    SOON_SECONDS,
    Check,
    ConformanceError,
    OpenQueue,
    expect,
    expect_quiet,
    message,
    take,
    values,
)
from factflow_protocols import (
    Clash,
    Delivery,
    Joined,
    QueueError,
    QueueProtocol,
    StageShape,
    StateChange,
    StateProtocol,
    StateProvider,
    StateSubscription,
    StoredAnswer,
    StoredState,
    Subscription,
)

EXECUTION: Final = "exec:conformance:"
STAGES: Final = (("r", "one"), ("r", "two"))
_NOBODY: Final = Joined(owner=0, since=0, unfinished=0, others=0, states=(), is_opening=True)


async def who_joins_first_finds_nothing_and_others_find_it(open_queue: OpenQueue) -> None:
    """Check that owners are unique for ever, and `since` is the same for all processes of one run."""
    async with open_queue() as queue, open_queue() as other:
        first = await _states(queue).join(EXECUTION, STAGES)
        expect((first.unfinished, first.others, list(first.states)), (0, 0, []), "what the first one finds")
        second = await _states(other).join(EXECUTION, STAGES)
        expect((second.unfinished, second.others, list(second.states)), (0, 1, []), "what the second one finds")
        expect(second.since, first.since, "since when the execution runs")
        if second.owner == first.owner:
            raise ConformanceError("two processes got one number")
        elsewhere = await _states(other).join("exec:elsewhere:", STAGES)
        expect((elsewhere.others, list(elsewhere.states)), (0, []), "what another execution finds")


async def a_state_is_stored_with_the_acknowledgement(open_queue: OpenQueue) -> None:
    """Check that both are there after reopening, and that the state replaces all that was stored before."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        await queue.publish_batch(QUEUE, [message(number) for number in range(3)])
        joined = await _states(queue).join(EXECUTION, STAGES)
        deliveries = await take(subscription, 3)
        for number, delivery in enumerate(deliveries[:2]):
            await _settle(subscription, [delivery], _change(joined, str(number).encode()))
        await _states(queue).leave(EXECUTION, joined.owner)
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(values(await take(subscription, 1)), [2], "what was not acknowledged")
        again = await _states(queue).join(EXECUTION, STAGES)
        expect((again.unfinished, again.others), (1, 0), "unfinished states and other processes")
        expect(list(again.states), [_state(b"1")], "the state of a process that left")
        expect(again.since, joined.since, "since when the execution runs")


async def nothing_is_stored_with_what_is_not_the_consumers(open_queue: OpenQueue) -> None:
    """Check that neither is stored if a covered message is not the consumer's any more."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        joined = await _states(queue).join(EXECUTION, STAGES)
        one, two = await take(subscription, 2)
        await _settle(subscription, [one], _change(joined, b"good"))
        await _refused(
            _settle(subscription, [two], _change(joined, b"bad", covered=[one])), "covering a settled message"
        )
        await _states(queue).leave(EXECUTION, joined.owner)
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(values(await take(subscription, 1)), [2], "what was not acknowledged")
        expect(list((await _states(queue).join(EXECUTION, STAGES)).states), [_state(b"good")], "the state")


async def who_gives_signs_of_life_keeps_its_states(open_queue: OpenQueue) -> None:
    """Check that an owner that renews keeps its states, and that after its lease the next one gets each once."""
    async with open_queue() as queue, open_queue() as other:
        joined = await _stored(queue, b"kept")
        for _ in range(10):
            await trio.sleep(LONGEST_LEASE_SECONDS / 4)
            await _states(queue).renew(EXECUTION, joined.owner)
        second = await _states(other).join(EXECUTION, STAGES)
        expect((second.unfinished, second.others, list(second.states)), (1, 1, []), "what joins beside a living one")
        await _states(other).leave(EXECUTION, second.owner)
        await trio.sleep(2 * LONGEST_LEASE_SECONDS)
        third = await _states(other).join(EXECUTION, STAGES)
        expect((third.others, list(third.states)), (0, [_state(b"kept")]), "what joins after a dead one")
        fourth = await _states(other).join(EXECUTION, STAGES)
        expect((fourth.others, list(fourth.states)), (1, []), "what joins after that")


async def who_was_taken_for_dead_writes_nothing(open_queue: OpenQueue) -> None:
    """Check that an owner taken for dead gets an error, stores nothing, and changes no state of its successor."""
    async with open_queue() as queue, open_queue() as other, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        dead = await _stored(queue, b"old")
        await queue.publish(QUEUE, message(8))
        late = await take(subscription, 1)
        await trio.sleep(2 * LONGEST_LEASE_SECONDS)
        heir = await _states(other).join(EXECUTION, STAGES)
        expect(list(heir.states), [_state(b"old")], "the state of a dead process")
        await _refused(_states(queue).renew(EXECUTION, dead.owner), "a renewal by one that was taken for dead")
        await _refused(_states(queue).conclude(EXECUTION, dead.owner, {}), "its conclusion")
        await _refused(_states(queue).opened(EXECUTION, dead.owner), "that it has opened its stages")
        answer = StoredAnswer(stage="one", message_id=b"m" * 16, root=b"r" * 16, answer=b"late")
        await _refused(_settle(subscription, late, _change(dead, b"late", answers=[answer])), "its state")
        await _states(queue).leave(EXECUTION, dead.owner)
        await _states(queue).forget(EXECUTION, dead.owner)
        await _states(other).renew(EXECUTION, heir.owner)
        await _states(other).leave(EXECUTION, heir.owner)
        expect(list(await _states(other).answers(EXECUTION, "r", [b"r" * 16])), [], "answers")
        expect(list((await _states(other).join(EXECUTION, STAGES)).states), [_state(b"old")], "the state after all")
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(values(await take(subscription, 1)), [8], "what it could not acknowledge")


async def answers_stay_until_their_delivery_is_acknowledged(open_queue: OpenQueue) -> None:
    """Check that stored answers are found by the delivery's id, within one route, whichever process stored them."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        await queue.publish_batch(QUEUE, [message(number) for number in range(1, 4)])
        joined = await _states(queue).join(EXECUTION, STAGES)
        one, two, three = await take(subscription, 3)
        answers = [
            StoredAnswer(stage="one", message_id=bytes([number]) * 16, root=root.to_bytes(16), answer=bytes([number]))
            for number, root in ((1, 2), (2, 2), (3, 3))
        ]
        await _settle(subscription, [one], _change(joined, b"1", answers=answers, covered=[two, three]))
        roots = [number.to_bytes(16) for number in range(1, 5)]
        found = await _states(queue).answers(EXECUTION, "r", roots)
        expect(sorted(found, key=lambda each: each.answer), answers, "answers")
        expect(list(await _states(queue).answers(EXECUTION, "other", roots)), [], "answers of another route")
        await _settle(subscription, [two], _change(joined, b"2", settled=[(2).to_bytes(16)], covered=[three]))
        expect(list(await _states(queue).answers(EXECUTION, "r", roots)), answers[2:], "answers that are left")
        await _settle(subscription, [three], _change(joined, b"3"))
        expect(await _states(queue).forget(EXECUTION, joined.owner), True, "whether all was forgotten")
        expect(list(await _states(queue).answers(EXECUTION, "r", roots)), [], "answers after that")


async def the_last_one_speaks_for_all(open_queue: OpenQueue) -> None:
    """Check that an owner that sees another hands over to it, and that the last one takes over the rest."""
    async with open_queue() as queue, open_queue() as other:
        first = await _stored(queue, b"first")
        second = await _stored(other, b"second")
        seen = await _states(queue).conclude(EXECUTION, first.owner, {})
        expect((seen.handed_over, set(seen.others)), (False, {second.owner}), "the first look around")
        await trio.sleep(LONGEST_LEASE_SECONDS / 10)
        await _states(other).renew(EXECUTION, second.owner)
        seen = await _states(queue).conclude(EXECUTION, first.owner, seen.others)
        expect(seen.handed_over, True, "whether it was handed over to one that renewed")
        last = await _states(other).conclude(EXECUTION, second.owner, {})
        expect(
            (last.handed_over, dict(last.others), list(last.states)), (False, {}, [_state(b"first")]), "the last look"
        )


async def what_is_forgotten_is_gone_unless_another_left_something(open_queue: OpenQueue) -> None:
    """Check that a new run of the execution begins after everything was forgotten."""
    async with open_queue() as queue, open_queue() as other:
        first = await _stored(queue, b"first")
        second = await _stored(other, b"second")
        await _states(queue).leave(EXECUTION, first.owner)
        expect(await _states(other).forget(EXECUTION, second.owner), False, "whether all was forgotten")
        last = await _states(other).conclude(EXECUTION, second.owner, {})
        expect(list(last.states), [_state(b"first")], "what another one left")
        expect(await _states(other).forget(EXECUTION, second.owner), True, "whether all was forgotten now")
        anew = await _states(queue).join(EXECUTION, STAGES)
        expect((anew.unfinished, anew.others, list(anew.states)), (0, 0, []), "what the next one finds")
        if anew.since <= first.since:
            raise ConformanceError("`since` does not tell one run of an execution from the next")


async def others_join_when_the_first_has_opened_its_stages(open_queue: OpenQueue) -> None:
    """Check that others wait, without a trace, until the first has opened its stages, left, or lost its lease."""
    async with open_queue() as queue, open_queue() as other:
        first = await _states(queue).join(EXECUTION, STAGES, opens=True)
        expect(first.is_opening, False, "whether the first one is to wait")
        expect(await _states(other).join(EXECUTION, STAGES, opens=True), _NOBODY, "what joins meanwhile")
        expect(await _states(other).join(EXECUTION, STAGES), _NOBODY, "what joins meanwhile and has opened before")
        await _states(queue).opened(EXECUTION, first.owner)
        second = await _states(other).join(EXECUTION, STAGES, opens=True)
        expect((second.is_opening, second.others), (False, 1), "what joins then")
        third = await _states(other).join(EXECUTION, STAGES, opens=True)
        expect(third.is_opening, False, "whether one waits for another that is not the first")
        for states, joined in ((_states(queue), first), (_states(other), second), (_states(other), third)):
            await states.leave(EXECUTION, joined.owner)
        await _states(queue).join(EXECUTION, STAGES, opens=True)
        with trio.move_on_after(SOON_SECONDS) as soon:
            while (await _states(other).join(EXECUTION, STAGES, opens=True)).is_opening:  # noqa: ASYNC110 - no event
                await trio.sleep(LONGEST_LEASE_SECONDS / 4)
        expect(
            soon.cancelled_caught,
            False,
            "whether one waits for ever for a process that died while it opened its stages",
        )


async def stages_that_were_begun_are_to_finish(open_queue: OpenQueue) -> None:
    """Check that begun stages must finish, whatever happens to their process, without any effect, and new ones, too."""
    idle = frozenset(STAGES)
    async with open_queue() as queue, open_queue() as other:
        first = await _states(queue).join(EXECUTION, STAGES)
        await _states(queue).begin(EXECUTION, first.owner)
        second = await _states(other).join(EXECUTION, STAGES)
        expect((second.unfinished, second.kept, second.idle), (2, frozenset(), frozenset()), "what joins beside it")
        await _states(queue).leave(EXECUTION, first.owner)
        last = await _states(other).conclude(EXECUTION, second.owner, {})
        expect(sorted(state.stage for state in last.states), ["one", "two"], "what is left to the last one")
        await _states(other).leave(EXECUTION, second.owner)
        expect(await _states(queue).forget(EXECUTION, first.owner), False, "whether they can be forgotten")
    async with open_queue() as queue:
        third = await _states(queue).join(EXECUTION, (*STAGES, ("r", "new")))
        expect((third.unfinished > 0, third.others), (True, 0), "unfinished states and other processes after reopening")
        expect({state.stage for state in third.states}, {"new", "one", "two"}, "what is to finish")
        expect(await _states(queue).forget(EXECUTION, third.owner), True, "whether all was forgotten")
    async with open_queue() as queue:
        first = await _states(queue).join(EXECUTION, STAGES)
        await _states(queue).begin(EXECUTION, first.owner)
        await _states(queue).leave(EXECUTION, first.owner)
        expect((await _states(queue).join(EXECUTION, STAGES)).idle, idle, "what has had no effect")


async def stages_that_are_made_of_something_else_are_not_shared(open_queue: OpenQueue) -> None:
    """Check that shapes must equal a running process's, and the adapter's type that of a dead one."""
    place = STAGES[0]

    def shapes(adapter: str, config: str) -> dict[tuple[str, str], StageShape]:
        return {place: StageShape(adapter=adapter, config=config)}

    async with open_queue() as queue, open_queue() as other:
        first = await _states(queue).join(EXECUTION, STAGES, shapes=shapes("a", "1"))
        clash = Clash(route=place[0], stage=place[1], adapter="a", is_living=True)
        for adapter, config in (("a", "2"), ("b", "1")):
            joined = await _states(other).join(EXECUTION, STAGES, shapes=shapes(adapter, config))
            expect(list(joined.clashes), [clash], "what cannot be shared with a living process")
        second = await _states(other).join(EXECUTION, STAGES, shapes=shapes("a", "1"))
        expect((second.others, list(second.clashes)), (1, []), "what joins with the same")
        await _states(other).leave(EXECUTION, second.owner)
        await queue.publish(QUEUE, message(1))
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            await _settle(subscription, await take(subscription, 1), _change(first, b"kept"))
        await _states(queue).leave(EXECUTION, first.owner)
        joined = await _states(other).join(EXECUTION, STAGES, shapes=shapes("b", "1"))
        expect([each.is_living for each in joined.clashes], [False], "what another type cannot take over")
        joined = await _states(other).join(EXECUTION, STAGES, shapes=shapes("a", "2"))
        expect(joined.changed, frozenset([place]), "what was configured otherwise")
        joined = await _states(queue).join(EXECUTION, STAGES, shapes=shapes("a", "2"))
        expect((joined.others, list(joined.clashes)), (1, []), "what joins after the change")


def _states(queue: QueueProtocol) -> StateProtocol:
    if not isinstance(queue, StateProvider):
        raise ConformanceError(f"{type(queue).__name__} is no StateProvider: it has no `states`")
    lease_seconds = queue.states.lease_seconds
    if not 0 < lease_seconds <= LONGEST_LEASE_SECONDS:
        raise ConformanceError(
            f"states.lease_seconds: expected at most {LONGEST_LEASE_SECONDS:g} s, got {lease_seconds:g}; "
            "the checks wait for leases to expire, so open the provider with a short one"
        )
    return queue.states


async def _settle(subscription: Subscription, acks: list[Delivery], change: StateChange) -> None:
    await cast("StateSubscription", subscription).settle(acks, change=change)


async def _stored(queue: QueueProtocol, state: bytes) -> Joined:
    """Join, and store a state."""
    joined = await _states(queue).join(EXECUTION, STAGES)
    name = f"{QUEUE}.{joined.owner}"
    async with queue.subscribe(name, "s", 10, 100) as subscription:
        await queue.publish(name, message(1))
        await _settle(subscription, await take(subscription, 1), _change(joined, state))
        await expect_quiet(subscription)
    return joined


def _change(
    joined: Joined,
    state: bytes,
    *,
    answers: list[StoredAnswer] | None = None,
    settled: list[bytes] | None = None,
    covered: list[Delivery] | None = None,
) -> StateChange:
    return StateChange(
        execution=EXECUTION,
        owner=joined.owner,
        route="r",
        states={"one": state},
        answers=answers or (),
        settled=settled or (),
        covered=covered or (),
    )


def _state(state: bytes) -> StoredState:
    return StoredState(route="r", stage="one", state=state)


async def _refused(call: Awaitable[object], what: str) -> None:
    try:
        await call
    except QueueError:
        return
    raise ConformanceError(f"{what} was accepted; expected QueueError")


STATE_CHECKS: Final[tuple[Check, ...]] = (
    who_joins_first_finds_nothing_and_others_find_it,
    a_state_is_stored_with_the_acknowledgement,
    nothing_is_stored_with_what_is_not_the_consumers,
    who_gives_signs_of_life_keeps_its_states,
    who_was_taken_for_dead_writes_nothing,
    answers_stay_until_their_delivery_is_acknowledged,
    the_last_one_speaks_for_all,
    what_is_forgotten_is_gone_unless_another_left_something,
    others_join_when_the_first_has_opened_its_stages,
    stages_that_were_begun_are_to_finish,
    stages_that_are_made_of_something_else_are_not_shared,
)
"""Every check of this module."""
