"""Adapters that wait for what virtual time does not wait for: the report names the line."""

import socket
import time

import trio

from factflow_engine.testing import simulate, validating_registry
from factflow_engine.testing.simulation import StickStage
from factflow_protocols import AdapterResult

CONFIG = """
version: "1.0"
routes:
  a:
    adapters: [{type: work}]
"""


async def in_a_thread(context):
    await trio.to_thread.run_sync(time.sleep, 0.02)
    return AdapterResult.forward()


async def on_a_socket(context):
    ours, _theirs = socket.socketpair()
    with trio.socket.from_stdlib_socket(ours) as stream, _theirs:
        await stream.recv(1)
    return AdapterResult.forward()


def broken(adapter, **arguments):
    report = simulate(CONFIG, registry=validating_registry(work=adapter), inputs={"a": [1]}, **arguments)
    return {each.name: each.text for each in report.broken}


def test_a_real_thread_is_named():
    text = broken(in_a_thread)["nothing waits outside"]
    assert text.startswith(f"{__name__}.in_a_thread, line ")
    assert "waits for a real thread; virtual time does not wait for it: write `def process`" in text


def test_a_socket_is_named_where_a_run_does_not_end():
    text = broken(on_a_socket)["everything ends"]
    assert f"{__name__}.on_a_socket, line " in text
    assert "waits for a socket, pipe or process; virtual time does not wait for it" in text


def test_a_stage_that_is_stuck_in_virtual_time_waits_for_nothing_outside():
    found = broken(lambda context: AdapterResult.forward(), faults=[StickStage(stage="a/work")])
    assert "outside" not in str(found)
    assert "virtual time" not in found["everything ends"]
