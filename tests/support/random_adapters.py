"""Adapters of random pipelines whose counts must balance: they change, drop, emit, wait, fail and put off."""

import trio

from factflow_protocols import AdapterResult, Reject, RetryLater


def adapters(randomness):
    """Return functions for `registry_of`, by type; what they do depends on the field `n` and the randomness alone."""

    def n(context):
        return context.message["n"]

    async def change(context):
        return AdapterResult(message={"n": (n(context) * 7 + 3) % 11}, headers={"seen": n(context)})

    async def odd(context):
        return AdapterResult.forward() if n(context) % 2 else None

    async def explode(context):
        if n(context) % 4 == 0:
            raise ValueError("four")
        return AdapterResult.forward()

    async def flaky(context):
        if randomness.uniform(0, 1) < 0.4:
            raise OSError("flaky")
        return AdapterResult.forward()

    async def reject(context):
        if n(context) == 3:
            raise Reject("three")
        return AdapterResult.forward()

    async def later(context):
        if randomness.uniform(0, 1) < 0.3:
            raise RetryLater(0.2)
        return AdapterResult.forward()

    async def rest(context):
        await trio.sleep(randomness.uniform(0, 0.5))
        return AdapterResult.forward()

    async def spread(context):
        return AdapterResult(emitted=({"n": n(context) + k} for k in range(n(context) % 4)))

    async def spread_async(context):
        async def children():
            for k in range(n(context) % 3):
                await trio.sleep(randomness.uniform(0, 0.3))
                if randomness.uniform(0, 1) < 0.1:
                    raise ValueError("source")
                yield {"n": k}

        return AdapterResult(emitted=children())

    def thread(context):
        return AdapterResult(emitted=iter([{"n": 1}, {"n": 4}]))

    return {
        "change": change, "odd": odd, "explode": explode, "flaky": flaky, "reject": reject, "later": later,
        "rest": rest, "spread": spread, "spread_async": spread_async, "thread": thread,
    }  # fmt: skip
