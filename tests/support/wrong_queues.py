"""Queue providers that are wrong in one way each: the SQLite provider with one method changed.

`WRONG` names one for every check of every suite of queues: that check must fail on it.
"""

from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.queues.sqlite.administration import SqliteAdministration
from factflow_engine.queues.sqlite.starts import forget_execution
from factflow_engine.queues.sqlite.states import SqliteStates
from factflow_engine.queues.sqlite.store import Call
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_protocols import (
    Forgotten,
    LeasedElsewhere,
    LettersLeftError,
    MessageState,
    MessageStatus,
    Nack,
    Purged,
    QueueClosedError,
    QueueError,
)


class Wrong(NamedTuple):
    """A change that makes a provider wrong.

    Attributes:
        target: The class that is changed.
        name: The attribute that is replaced.
        change: Given the real attribute, returns the wrong one; its name says in which way it is wrong.
    """

    target: type
    name: str
    change: Any


# Subscriptions.


def hands_out_backwards(real):
    async def receive(self, max_messages):
        return (await real(self, max_messages))[::-1]

    return receive


def never_wakes_when_saturated(real):
    async def receive(self, max_messages):
        if self.statistics().unsettled >= self._prefetch:
            await trio.sleep_forever()
        return await real(self, max_messages)

    return receive


def hears_of_nothing_while_it_waits(real):
    async def receive(self, max_messages):
        if not await self.depth():
            await trio.sleep_forever()
        return await real(self, max_messages)

    return receive


def loses_what_a_cancelled_receive_took(real):
    async def receive(self, max_messages):
        deliveries = await real(self, max_messages)
        await trio.sleep(0.001)
        return deliveries

    return receive


def counts_every_nack(real):
    async def settle(self, acks, nacks=(), **options):
        await real(self, acks, [replace(nack, counts=True) for nack in nacks], **options)

    return settle


def refuses_a_second_ack(real):
    settled = []

    async def settle(self, acks, nacks=(), **options):
        if any(each in settled for each in acks):
            raise QueueError("q", "was settled before")
        settled.extend(acks)
        await real(self, acks, nacks, **options)

    return settle


def ignores_delays(real):
    async def settle(self, acks, nacks=(), **options):
        await real(self, acks, [Nack(nack.delivery, counts=nack.counts) for nack in nacks], **options)

    return settle


def acknowledges_only_the_first(real):
    async def settle(self, acks, nacks=(), **options):
        await real(self, acks[:1], nacks, **options)

    return settle


def acknowledges_what_is_given_back(real):
    async def settle(self, acks, nacks=(), **options):
        await real(self, [*acks, *(nack.delivery for nack in nacks)], **options)

    return settle


def stores_no_state(real):
    async def settle(self, acks, nacks=(), *, change=None):
        await real(self, acks, nacks)

    return settle


def acknowledges_without_the_state(real):
    async def settle(self, acks, nacks=(), *, change=None):
        try:
            await real(self, acks, nacks, change=change)
        except QueueError:
            await real(self, acks, nacks)

    return settle


def counts_only_what_waits(real):
    async def depth(self):
        return await real(self) - self.statistics().unsettled

    return depth


def never_renews(_real):
    async def renew(self):
        await trio.sleep_forever()

    return renew


def tells_of_nothing_elsewhere(_real):
    async def leased_elsewhere(self):
        await trio.lowlevel.checkpoint()
        return LeasedElsewhere(0)

    return leased_elsewhere


def publishes_backwards(real):
    async def publish_and_settle(self, publications, acks):
        return await real(self, [(queue, messages[::-1]) for queue, messages in publications], acks)

    return publish_and_settle


def acknowledges_without_room(real):
    async def publish_and_settle(self, publications, acks):
        if await real(self, publications, acks):
            return True
        await self.settle(acks)
        return False

    return publish_and_settle


def acknowledges_nothing(real):
    async def publish_and_settle(self, publications, acks):
        return await real(self, publications, [])

    return publish_and_settle


def publishes_what_fits(real):
    async def publish_and_settle(self, publications, acks):
        for queue, messages in publications:
            await real(self, [(queue, messages)], [])
        return await real(self, publications, acks)

    return publish_and_settle


def publishes_nothing(real):
    async def publish_and_settle(self, publications, acks):
        return await real(self, [], acks)

    return publish_and_settle


def does_nothing_if_a_part_is_empty(real):
    async def publish_and_settle(self, publications, acks):
        return bool(publications and acks) and await real(self, publications, acks)

    return publish_and_settle


def takes_its_end_for_done(real):
    async def publish_and_settle(self, publications, acks):
        return self._over is not None or await real(self, publications, acks)

    return publish_and_settle


# The provider.


def returns_one_status(real):
    async def publish_batch(self, queue, messages):
        result = await real(self, queue, messages)
        return replace(result, statuses=list(result.statuses)[:1])

    return publish_batch


def drops_headers_and_keys(real):
    async def publish_batch(self, queue, messages):
        return await real(self, queue, [Frame.create(each.payload, message_id=each.message_id) for each in messages])

    return publish_batch


def tells_no_duplicates(real):
    async def publish_batch(self, queue, messages):
        result = await real(self, queue, messages)
        return replace(result, statuses=[MessageStatus.ACCEPTED] * len(result.statuses))

    return publish_batch


def hands_out_beyond_prefetch(real):
    def subscribe(self, queue, subscription, prefetch, capacity=None):
        return real(self, queue, subscription, prefetch + 1, capacity)

    return subscribe


def hands_out_one_at_a_time(real):
    def subscribe(self, queue, subscription, prefetch, capacity=None):
        return real(self, queue, subscription, 1, capacity)

    return subscribe


def takes_any_prefetch(real):
    def subscribe(self, queue, subscription, prefetch, capacity=None):
        return real(self, queue, subscription, max(1, prefetch), capacity)

    return subscribe


def has_no_capacity(real):
    def subscribe(self, queue, subscription, prefetch, capacity=None):
        return real(self, queue, subscription, prefetch, 1000)

    return subscribe


def lets_one_consumer_have_all(_real):
    return SqliteQueue.subscribe_in_order


def keeps_no_order(_real):
    return SqliteQueue.subscribe


def knows_one_subscription(real):
    def subscribe(self, queue, subscription, prefetch, capacity=None):
        return real(self, queue, "one", prefetch, capacity)

    return subscribe


def forgets_subscriptions_without_consumers(real):
    @asynccontextmanager
    async def subscribe(self, queue, subscription, prefetch, capacity=None):
        async with real(self, queue, subscription, prefetch, capacity) as consumer:
            yield consumer
        if queue.startswith("/topic/"):
            await self.administration.forget(queue, subscription=subscription)

    return subscribe


def groups_errors_of_the_body(real):
    @asynccontextmanager
    async def subscribe(self, *arguments):
        async with real(self, *arguments) as consumer:
            try:
                yield consumer
            except KeyError as error:
                raise ExceptionGroup("of a nursery", [error]) from None

    return subscribe


def swallows_errors_of_the_body(real):
    @asynccontextmanager
    async def subscribe(self, *arguments):
        async with real(self, *arguments) as consumer:
            with suppress(KeyError):
                yield consumer

    return subscribe


def keeps_the_room_of_a_cancelled_publisher(real):
    async def publish(self, queue, message):
        if vars(self).get("taken"):
            await trio.sleep_forever()
        self.taken = True
        status = await real(self, queue, message)
        self.taken = False
        return status

    return publish


def looks_for_room_once(real):
    async def publish(self, queue, message):
        with trio.move_on_after(0.1):
            return await real(self, queue, message)
        await trio.sleep_forever()

    return publish


def takes_messages_after_its_stop(real):
    async def publish(self, queue, message):
        try:
            return await real(self, queue, message)
        except QueueClosedError:
            return MessageStatus.ACCEPTED

    return publish


def finds_every_name_good(_real):
    return lambda self, queue: None


def does_not_know_whether_it_outlives(_real):
    return None


def forgets_everything(_real):
    async def forget_empty(self, prefix):
        await self.discard(prefix)

    return forget_empty


def loses_its_file(real):
    async def stop(self):
        await real(self)
        for path in self.settings.path.parent.glob("*.db*"):
            path.unlink()

    return stop


# Starts of executions.


def publishes_at_every_start(real):
    async def begin(self, *arguments, **options):
        return replace(await real(self, *arguments, **options), published=True)

    return begin


def takes_late_starts_for_new(real):
    async def begin(self, *arguments, asked_ns, **options):
        return await real(self, *arguments, asked_ns=self.instant_ns(), **options)

    return begin


def counts_two_at_most(real):
    async def begin(self, *arguments, **options):
        begun = await real(self, *arguments, **options)
        return replace(begun, left=min(begun.left, 2))

    return begin


def knows_no_first_start(real):
    async def begin(self, *arguments, **options):
        return replace(await real(self, *arguments, **options), is_first=False)

    return begin


def closes_in_spite_of_what_is_left(real):
    async def end(self, execution, reads, **options):
        left = await real(self, execution, reads, **options)
        await self._writer.submit(Call(lambda store: forget_execution(store, execution), execution))
        return left

    return end


def holds_nothing(_real):
    async def holdings(self, execution):
        await trio.lowlevel.checkpoint()
        return []

    return holdings


def resumes_anything(_real):
    async def can_resume(self, execution, *, asked_ns):
        await trio.lowlevel.checkpoint()
        return True

    return can_resume


# States of stages.


def gives_everybody_one_number(real):
    async def join(self, *arguments, **options):
        return replace(await real(self, *arguments, **options), owner=1)

    return join


def lets_others_join_at_once(real):
    async def join(self, execution, stages, *, opens=False, **options):
        return await real(self, execution, stages, **options)

    return join


def compares_no_shapes(real):
    async def join(self, execution, stages, *, shapes=None, **options):
        return await real(self, execution, stages, **options)

    return join


def does_nothing(_real):
    async def nothing(self, *_arguments):
        await trio.lowlevel.checkpoint()

    return nothing


def renews_for_the_dead(real):
    async def renew(self, execution, owner):
        with suppress(QueueError):
            await real(self, execution, owner)

    return renew


def has_no_answers(_real):
    async def answers(self, execution, route, roots):
        await trio.lowlevel.checkpoint()
        return []

    return answers


def hands_over_to_nobody(real):
    async def conclude(self, execution, owner, seen):
        return replace(await real(self, execution, owner, seen), handed_over=False)

    return conclude


def says_that_all_is_forgotten(real):
    async def forget(self, execution, owner):
        await real(self, execution, owner)
        return True

    return forget


# Administration.


def takes_everything_for_waiting(real):
    async def browse(self, queue, **options):
        async for stored in real(self, queue, **options):
            yield replace(stored, state=MessageState.WAITING)

    return browse


def browses_one_way(real):
    def browse(self, queue, *, newest_first=False, **options):
        return real(self, queue, **options)

    return browse


def counts_no_lines(real):
    async def statistics(self):
        return replace(await real(self), lines=[])

    return statistics


def purges_nothing(_real):
    async def purge(self, queue, **options):
        await trio.lowlevel.checkpoint()
        return Purged(0, 0, 0)

    return purge


def deletes_one(real):
    async def delete(self, queue, messages, **options):
        return await real(self, queue, messages[:1], **options)

    return delete


def refuses_to_forget_nothing(real):
    async def forget(self, queue, **options):
        try:
            return await real(self, queue, **options)
        except QueueError:
            return Forgotten(0, Purged(0, 0, 0), 0)

    return forget


def deletes_a_stage_that_is_not_there(_real):
    async def forget_stage(self, execution_id, route, stage):
        await trio.lowlevel.checkpoint()
        return 0

    return forget_stage


def tells_of_no_letters_left(real):
    async def requeue(self, queue, seqs, **options):
        try:
            return await real(self, queue, seqs, **options)
        except LettersLeftError as error:
            return error.counts

    return requeue


def makes_any_queue(real):
    async def requeue(self, queue, seqs, *, create=False, **options):
        return await real(self, queue, seqs, create=True, **options)

    return requeue


def has_problems(_real):
    async def check(self):
        await trio.lowlevel.checkpoint()
        return ["a problem"]

    return check


WRONG: dict[str, Wrong] = {
    name: Wrong(target, attribute, change)
    for target, changes in {
        SqliteSubscription: {
            "messages_come_in_order_and_are_gone_when_acked": ("receive", hands_out_backwards),
            "a_saturated_consumer_goes_on_when_others_settle_for_it": ("receive", never_wakes_when_saturated),
            "a_nack_counts_an_attempt_unless_told_otherwise": ("settle", counts_every_nack),
            "settling_twice_does_nothing": ("settle", refuses_a_second_ack),
            "a_delayed_nack_comes_back_when_it_is_due": ("settle", ignores_delays),
            "out_of_order_settlements_leave_exactly_the_rest": ("settle", acknowledges_only_the_first),
            "a_receive_that_is_cancelled_takes_nothing": ("receive", loses_what_a_cancelled_receive_took),
            "a_waiting_consumer_hears_of_a_message": ("receive", hears_of_nothing_while_it_waits),
            "the_depth_counts_what_nobody_has_settled": ("depth", counts_only_what_waits),
            "a_delay_survives_reopening": ("settle", ignores_delays),
            "a_living_consumer_keeps_what_it_has": ("renew", never_renews),
            "what_one_opening_publishes_another_receives": ("receive", hears_of_nothing_while_it_waits),
            "what_other_consumers_have_is_told": ("leased_elsewhere", tells_of_nothing_elsewhere),
            "a_state_is_stored_with_the_acknowledgement": ("settle", stores_no_state),
            "nothing_is_stored_with_what_is_not_the_consumers": ("settle", acknowledges_without_the_state),
            "messages_and_acknowledgements_change_places_at_once": ("publish_and_settle", publishes_backwards),
            "without_room_for_all_nothing_is_done": ("publish_and_settle", acknowledges_without_room),
            "a_waiting_consumer_gets_what_is_published": ("publish_and_settle", publishes_nothing),
            "either_part_may_be_empty": ("publish_and_settle", does_nothing_if_a_part_is_empty),
            "after_its_end_a_subscription_does_nothing": ("publish_and_settle", takes_its_end_for_done),
            "what_was_given_back_comes_before_later_ones": ("settle", acknowledges_what_is_given_back),
        },
        SqliteQueue: {
            "batches_have_a_status_for_each_message": ("publish_batch", returns_one_status),
            "frames_arrive_as_they_were": ("publish_batch", drops_headers_and_keys),
            "prefetch_bounds_what_is_unsettled": ("subscribe", hands_out_beyond_prefetch),
            "a_full_queue_holds_up_its_publishers_and_nobody_else": ("subscribe", has_no_capacity),
            "a_cancelled_publisher_leaves_room_for_the_next": ("publish", keeps_the_room_of_a_cancelled_publisher),
            "consumers_of_a_queue_share_it": ("subscribe", lets_one_consumer_have_all),
            "each_subscription_of_a_topic_gets_every_message": ("subscribe", knows_one_subscription),
            "names_are_judged": ("validate_name", finds_every_name_good),
            "it_says_whether_messages_outlive_the_process": ("outlives_process", does_not_know_whether_it_outlives),
            "impossible_sizes_are_refused": ("subscribe", takes_any_prefetch),
            "an_error_in_the_body_of_a_subscription_comes_out_as_it_was": ("subscribe", groups_errors_of_the_body),
            "a_stopped_provider_takes_nothing_more": ("publish", takes_messages_after_its_stop),
            "forgetting_what_is_empty_keeps_what_is_not": ("forget_empty", forgets_everything),
            "what_was_accepted_is_there_after_reopening": ("stop", loses_its_file),
            "duplicates_are_refused_by_id": ("publish_batch", tells_no_duplicates),
            "room_that_another_opening_makes_is_noticed": ("publish", looks_for_room_once),
            "a_topics_subscription_outlives_its_consumers": ("subscribe", forgets_subscriptions_without_consumers),
            "nothing_is_handed_out_beside_another_consumer": ("subscribe_in_order", keeps_no_order),
            "one_consumer_goes_on_beside_its_own": ("subscribe_in_order", hands_out_one_at_a_time),
            "init_messages_are_published_until_an_end_that_finds_nothing_left": ("begin", publishes_at_every_start),
            "an_end_that_finds_something_left_closes_nothing": ("end", closes_in_spite_of_what_is_left),
            "a_start_that_was_asked_for_before_the_end_joins": ("begin", takes_late_starts_for_new),
            "of_those_that_start_together_one_publishes": ("begin", publishes_at_every_start),
            "what_was_read_before_is_left_too": ("begin", counts_two_at_most),
            "what_holds_messages_is_named": ("holdings", holds_nothing),
            "of_those_that_start_one_is_the_first": ("begin", knows_no_first_start),
            "what_would_be_resumed_is_known_before": ("can_resume", resumes_anything),
        },
        SqliteStates: {
            "who_joins_first_finds_nothing_and_others_find_it": ("join", gives_everybody_one_number),
            "who_gives_signs_of_life_keeps_its_states": ("renew", does_nothing),
            "who_was_taken_for_dead_writes_nothing": ("renew", renews_for_the_dead),
            "answers_stay_until_their_delivery_is_acknowledged": ("answers", has_no_answers),
            "the_last_one_speaks_for_all": ("conclude", hands_over_to_nobody),
            "what_is_forgotten_is_gone_unless_another_left_something": ("forget", says_that_all_is_forgotten),
            "others_join_when_the_first_has_opened_its_stages": ("join", lets_others_join_at_once),
            "stages_that_were_begun_are_to_finish": ("begin", does_nothing),
            "stages_that_are_made_of_something_else_are_not_shared": ("join", compares_no_shapes),
        },
        SqliteAdministration: {
            "messages_are_looked_at_and_not_taken": ("browse", takes_everything_for_waiting),
            "messages_are_looked_at_from_the_newest_on": ("browse", browses_one_way),
            "statistics_count_what_there_is": ("statistics", counts_no_lines),
            "a_purge_deletes_what_nobody_has": ("purge", purges_nothing),
            "the_messages_named_are_deleted_and_no_others": ("delete", deletes_one),
            "a_queue_that_somebody_uses_is_not_forgotten": ("forget", refuses_to_forget_nothing),
            "what_is_not_there_is_an_error": ("forget_stage", deletes_a_stage_that_is_not_there),
            "a_dead_letter_goes_back_once": ("requeue", tells_of_no_letters_left),
            "a_dead_letter_goes_to_no_queue_that_is_not_there": ("requeue", makes_any_queue),
            "a_sound_store_has_no_problems": ("check", has_problems),
        },
    }.items()
    for name, (attribute, change) in changes.items()
}
"""Check to the change that it must find."""

MORE: list[tuple[str, Wrong]] = [
    (
        "an_error_in_the_body_of_a_subscription_comes_out_as_it_was",
        Wrong(SqliteQueue, "subscribe", swallows_errors_of_the_body),
    ),
    (
        "messages_and_acknowledgements_change_places_at_once",
        Wrong(SqliteSubscription, "publish_and_settle", acknowledges_nothing),
    ),
    ("without_room_for_all_nothing_is_done", Wrong(SqliteSubscription, "publish_and_settle", publishes_what_fits)),
]
"""Further changes that a check must find."""
