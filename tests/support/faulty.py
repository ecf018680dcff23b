"""Random pipelines whose stages fail at random for a while, and where each of their messages must be in the end.

Each payload carries its trail: which stages have made it what it is. So what a message would have led to without faults
follows from the message alone.
"""

from contextlib import asynccontextmanager

import trio
from hypothesis import strategies as st

from factflow_protocols import AdapterResult, QueueClosedError, Reject, RetryLater

FAULTS_END = 20.0
"""Seconds of simulated time after which nothing fails any more."""

BREAKER = (
    "{minimum_calls: 2, sliding_window_size: 4, failure_rate_threshold: 50, wait_duration_seconds: 1, "
    "max_wait_duration_seconds: 2, permitted_calls_in_half_open: 1%s}"
)


@st.composite
def faulty_pipelines(draw):
    """Routes that lead to later ones or out, with stages that work, choose and spread."""
    count = draw(st.integers(1, 4))
    routes = []
    for position in range(count):
        stages = [
            {
                "kind": draw(st.sampled_from(["work", "work", "spread", "sync", "sift"])),
                "breaker": draw(st.sampled_from(["", "", BREAKER % "", BREAKER % ", key: key"])),
                "below": draw(st.sampled_from([None, None, 3])),
            }
            for _ in range(draw(st.integers(1, 3)))
        ]
        targets = draw(st.lists(st.integers(position + 1, count), min_size=1, max_size=3, unique=True))
        routes.append(
            {
                "stages": stages,
                "targets": [(target, draw(st.sampled_from([None, 2, 4]))) for target in targets],
                "first": draw(st.booleans()),
                "retries": draw(st.integers(0, 3)),
                "concurrency": draw(st.integers(1, 4)),
                "capacity": draw(st.integers(1, 6)),
            }
        )
    return routes


def as_yaml(routes):
    lines = ["routes:"]
    for position, route in enumerate(routes):
        lines += [
            f"  r{position}:",
            f"    inbound: {{concurrency: {route['concurrency']}, capacity: {route['capacity']}}}",
            f"    error_handling: {{max_retries: {route['retries']}, dead_letter_queue: /queue/dead}}",
            f"    outbound_mode: {'first' if route['first'] else 'all'}",
            "    adapters:",
        ]
        for number, stage in enumerate(route["stages"]):
            breaker = f", circuit_breaker: {stage['breaker']}" if stage["breaker"] else ""
            condition = condition_of(stage["below"])
            lines.append(f"      - {{type: {stage['kind']}, name: s{number}{breaker}{condition}}}")
        lines.append("    outbound:")
        for target, below in route["targets"]:
            where = "queue: /queue/out" if target == len(routes) else f"route: r{target}"
            lines.append(f"      - {{{where}{condition_of(below)}}}")
    return "\n".join(lines)


def condition_of(below):
    if below is None:
        return ""
    return f", condition: {{any_of: [{{not: {{field: id, operator: gte, value: {below}}}}}, {{field: id, operator: eq, value: 5}}]}}"


def holds(below, message):
    return below is None or message["id"] < below or message["id"] == 5


def extended(message, step):
    return {**message, "trail": [*message["trail"], step]}


def frozen(message):
    return message["id"], tuple(message["trail"])


def leaves(routes, position, message):
    """What is at the outbound in the end because of this message, which is before or in this route."""
    if position == len(routes):
        return {frozen(message)}
    route = routes[position]
    visited = [step for step in message["trail"] if step.startswith(f"r{position}/")]
    begin = int(visited[-1].split("/")[1].split("#")[0][1:]) + 1 if visited else 0
    messages = [message]
    for number in range(begin, len(route["stages"])):
        stage = route["stages"][number]
        step = f"r{position}/s{number}"
        after = []
        for one in messages:
            if not holds(stage["below"], one):
                after.append(one)
            elif stage["kind"] == "sift":
                after += [one] * is_kept(one)
            elif stage["kind"] == "spread":
                after += [extended(one, f"{step}#{ordinal}") for ordinal in range(children_of(one))]
            else:
                after.append(extended(one, step))
        messages = after
    found = set()
    for one in messages:
        taken = [target for target, below in route["targets"] if holds(below, one)]
        for target in taken[:1] if route["first"] else taken:
            found |= leaves(routes, target, one)
    return found


def children_of(message):
    return (message["id"] + len(message["trail"])) % 3


def is_kept(message):
    return (message["id"] + len(message["trail"])) % 5 > 0


def headers_of(number):
    """What is published with an input, and must be with all that it leads to."""
    return {"of": number, "shared": [number]}


def adapters(randomness):
    def chance(probability):
        return trio.current_time() < FAULTS_END and randomness.uniform(0, 1) < probability

    def fault():
        if chance(0.25):
            raise OSError("a fault")
        if chance(0.05):
            raise RetryLater(0.3)
        if chance(0.04):
            raise Reject("never again")

    def step_of(context):
        return f"{context.route}/{context.stage}"

    async def work(context):
        message = context.message
        if chance(0.5):
            await trio.sleep(randomness.uniform(0, 0.4))
        message["trail"].append("spoilt")  # nobody else may see this
        context.headers["shared"].append("spoilt")  # nor this
        fault()
        message["trail"][-1] = step_of(context)
        return AdapterResult(message=message)

    async def spread(context):
        message = context.message

        async def source():
            for ordinal in range(children_of(message)):
                if chance(0.2):
                    await trio.sleep(0.1)
                fault()
                yield extended(message, f"{step_of(context)}#{ordinal}")

        fault()
        return AdapterResult(emitted=source())

    def sync(context):
        fault_free = context.message
        return AdapterResult(message=extended(fault_free, step_of(context)))

    async def sift(context):
        fault()
        return AdapterResult.forward() if is_kept(context.message) else None

    return {"work": work, "spread": spread, "sync": sync, "sift": sift}


async def collect(subscription, into):
    while True:
        try:
            deliveries = await subscription.receive(10)
        except QueueClosedError:
            return  # the execution has ended, and all of it was read
        into += [delivery.message for delivery in deliveries]
        await subscription.settle(deliveries)


@asynccontextmanager
async def collecting(store, out, dead):
    """Collect what leaves execution `x` through these two queues of a store, for as long as the context lasts."""
    async with (
        store.subscribe("exec:x:/queue/out", "test", 100) as outs,
        store.subscribe("exec:x:/queue/dead", "test", 100) as letters,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(collect, outs, out)
        nursery.start_soon(collect, letters, dead)
        yield nursery
        await trio.sleep(1)
        nursery.cancel_scope.cancel()


def assert_all_is_where_it_must_be(routes, inputs, out, dead):
    """What has come out, and what the dead letters would have led to, is what so many inputs lead to."""
    by_id = {}
    for frame in [*out, *dead]:
        headers = {name: value for name, value in frame.headers.items() if name != "dead_letter"}
        assert headers == headers_of(frame.value()["id"]), "with the headers of its input"
    for frame in out:
        assert by_id.setdefault(frame.message_id, frame.value()) == frame.value(), "a repeat has the same id"
    arrived = {frozen(frame.value()) for frame in out}
    expected = set()
    for number in range(inputs):
        expected |= leaves(routes, 0, {"id": number, "trail": []})
    assert arrived <= expected, "nothing spurious, payloads exact, trails whole"
    buried = set()
    for letter in dead:
        position = int(letter.headers["dead_letter"]["route"][1:])
        buried |= leaves(routes, position, letter.value())
    assert arrived | buried == expected, "nothing lost"
