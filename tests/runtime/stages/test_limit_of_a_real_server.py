"""A limit against a real HTTP server of limited capacity, on loopback and in real time: it finds the server's capacity.

A fixed limit that is too low leaves throughput, one that is too high lets calls queue in the server beyond the target.
"""

import logging
import statistics
from functools import partial

import h11
import pytest
import trio

from support.pipelines import running

CAPACITY = 10
"""Requests that the server works on at a time; the others wait in it."""

SERVICE_SECONDS = 0.25
TARGET_MS = 500.0
BEST = CAPACITY / SERVICE_SECONDS

BAND = 0.1
"""Accepted distance of the median limit from the capacity, as a part of it."""


class Server:
    """HTTP on loopback with so many workers; keeps the latency of each request, in order of their ends."""

    def __init__(self) -> None:
        self.workers = trio.CapacityLimiter(CAPACITY)
        self.latencies: list[float] = []
        self.ends: list[float] = []
        self.port = 0

    async def start(self, nursery: trio.Nursery) -> None:
        listeners = await nursery.start(partial(trio.serve_tcp, self.serve, 0, host="127.0.0.1"))
        self.port = listeners[0].socket.getsockname()[1]

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    try:
                        connection.receive_data(await stream.receive_some(65_536))
                    except trio.BrokenResourceError:
                        return
                elif isinstance(event, h11.EndOfMessage):
                    await self.answer(stream, connection)
                elif isinstance(event, h11.ConnectionClosed):
                    return

    async def answer(self, stream: trio.SocketStream, connection: h11.Connection) -> None:
        began = trio.current_time()
        async with self.workers:
            await trio.sleep(SERVICE_SECONDS)
        await stream.send_all(
            connection.send(h11.Response(status_code=200, headers=[("content-length", "2")]))
            + connection.send(h11.Data(data=b"ok"))
            + connection.send(h11.EndOfMessage())
        )
        self.latencies.append(trio.current_time() - began)
        self.ends.append(trio.current_time())
        connection.start_next_cycle()


async def measured(
    place: str, section: str, monkeypatch: pytest.MonkeyPatch, *, warm_up: float, seconds: float
) -> tuple[float, float, float]:
    """Limit a route or its stage; return requests a second, the 99th percentile of their latency in milliseconds, and the median limit.

    Nothing counts before the warm-up, in which the limit is looked for.
    """
    monkeypatch.setenv("NO_PROXY", "*")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    server, limits = Server(), []
    async with trio.open_nursery() as nursery:
        await server.start(nursery)
        of_stage, of_route = (f", backpressure: {section}" if place == name else "" for name in ("stage", "route"))
        text = (
            "routes: {r: {inbound: {concurrency: 100, prefetch: 400, capacity: 100000}, adapters: [{type: http_request, "
            f'config: {{url: "http://127.0.0.1:{server.port}/"}}{of_stage}}}]{of_route}}}}}'
        )
        async with running(text, seconds=300) as execution:
            for number in range(round(3 * BEST * (warm_up + seconds))):
                execution.publish_nowait("r", {"n": number})
            await trio.sleep(warm_up)
            first = len(server.latencies)
            for _ in range(round(10 * seconds)):
                await trio.sleep(0.1)
                found = execution.statistics()
                limits.append(found.routes["r"].limit if place == "route" else found.limits["r/http_request"].limit)
            slowest = sorted(server.latencies[first:])
            span = server.ends[-1] - server.ends[first]
            await execution.cancel(0)
        nursery.cancel_scope.cancel()
    return len(slowest) / span, 1e3 * slowest[int(0.99 * len(slowest))], statistics.median(limits)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["stage", "route"])
async def test_an_adaptive_limit_finds_the_capacity_that_fixed_ones_miss(place, monkeypatch, capsys):
    found = {}
    for name, section, warm_up, seconds in (
        ("adaptive", f"{{algorithm: adaptive, target_latency_ms: {TARGET_MS:g}, max_concurrency: 100}}", 15.0, 25.0),
        ("too low", "{algorithm: fixed, max_concurrency: 3}", 1.0, 8.0),
        ("too high", "{algorithm: fixed, max_concurrency: 60}", 3.0, 8.0),
    ):
        found[name] = await measured(place, section, monkeypatch, warm_up=warm_up, seconds=seconds)
        rate, p99, limit = found[name]
        with capsys.disabled():
            print(
                f"\n{place}, {name}: {rate:.1f} of {BEST:.0f} requests a second, p99 {p99:.0f} ms, median limit {limit:g}",
                end="",
            )
    rate, p99, limit = found["adaptive"]
    assert rate >= 0.8 * BEST
    assert p99 < TARGET_MS
    assert abs(limit - CAPACITY) <= BAND * CAPACITY
    assert found["too low"][0] < 0.35 * BEST
    assert found["too high"][1] > 2 * TARGET_MS
