"""A Bytewax dataflow of three map steps, run in this process by its own single-worker runner."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from bench.timing import Stopwatch


def carrying(
    step: Callable[[Any], Any], messages: Sequence[Any], *, batch: int = 100
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: messages through three steps in a row; cost of one hop.

    Args:
        step: What each step does with a message.
        messages: What goes in.
        batch: How many the source hands over at a time; its own default of 1 would be slower.
    """

    def measure() -> Mapping[str, float]:
        ended: list[Any] = []
        flow = Dataflow("linear")
        stream = op.input("in", flow, TestingSource(messages, batch_size=batch))
        for name in ("one", "two", "three"):
            stream = op.map(name, stream, step)
        op.output("out", stream, TestingSink(ended))
        with Stopwatch() as watch:
            run_main(flow)
        if len(ended) != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {len(ended)} came through")
        return watch.per(len(ended) * 3)

    return measure
