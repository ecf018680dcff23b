"""Adapters that several tests put into their pipelines."""

import trio

from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter


async def count_down(context):
    """Send a number on, one less, until it is zero: the message goes so many times around a cycle."""
    return AdapterResult(message=context.message - 1) if context.message > 0 else None


def endless(pulled):
    """An adapter that emits numbers from 1 on for ever, and notes in a list what was pulled."""

    async def emit(context):
        def numbers():
            while True:
                pulled.append(len(pulled) + 1)
                yield pulled[-1]

        return AdapterResult(emitted=numbers())

    return emit


def raising_in(where, error):
    """A class of stages that raise in one of their methods; `death` is the end of `process`, as it were a second place."""

    class Raises(StatefulAdapter):
        def __init__(self):
            self._maybe("constructor")

        async def open(self, stage):
            self._maybe("open")

        async def process(self, context):
            self._maybe("process")
            self._maybe("death")

        async def finish(self):
            self._maybe("finish")

        async def close(self):
            self._maybe("close")

        def _maybe(self, here):
            if here == where:
                raise error

    return Raises


def giving_back_slowly(events, base=PipelineAdapter):
    """A class whose `process` waits for ever, and takes a second to give a cancelled message back."""

    class Slow(base):
        async def process(self, context):
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                events.append("given back")

    return Slow


PAUSABLE_CYCLE = """
routes:
  a: {inbound: {capacity: 3, concurrency: 1}, adapters: [{type: forward}], outbound: [{route: b}]}
  b: {inbound: {capacity: 3, concurrency: 1}, adapters: [{type: count_down}], outbound: [{route: a}]}
"""
"""Two routes that feed each other, until `count_down` ends each message."""
