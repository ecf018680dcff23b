"""While a value is decoded, nobody finds a part of it that is not whole: a look into such a list ends the process."""

import subprocess
import sys

import pytest

WALK = """
import gc, sys, threading
from factflow_engine.native import pack, unpack
from factflow_protocols import Ext, Timestamp

def walk():
    for found in gc.get_objects():
        if type(found) in (list, tuple, dict):
            for inner in list(found):
                type(inner)

data = pack({value})
expected = unpack(data)
{body}
for _ in range(3):
    assert unpack(data) == expected
stop = True
print("whole")
"""

BY_COLLECTOR = """
gc.collect()
gc.freeze()
gc.callbacks.append(lambda phase, info: walk())
gc.set_threshold(1)
"""

BY_TRACE = """
gc.collect()
gc.freeze()
calls = 0
def trace(frame, event, argument):
    global calls
    calls += 1
    if calls % 5 == 0:
        walk()
sys.setprofile(trace)
"""

NESTED = "{'rows': [[number, [number], {'a': [number]}] for number in range(50)]}"
CLASSES = "[[Timestamp(number, 5), Ext(7, b'data'), {'at': Timestamp(number, 1)}] for number in range(50)]"


@pytest.mark.parametrize("value", [NESTED, CLASSES], ids=["nested", "classes"])
@pytest.mark.parametrize("body", [BY_COLLECTOR, BY_TRACE], ids=["collector", "trace"])
def test_nobody_finds_a_list_with_empty_places(value, body):
    program = [sys.executable, "-c", WALK.format(value=value, body=body)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "whole\n", "")


def test_what_was_decoded_is_collected_when_it_is_a_circle():
    body = """
import weakref
class Held: pass
def circle():
    decoded = unpack(pack([1, 2]))
    held = Held()
    decoded[0], decoded[1] = decoded, held
    return weakref.ref(held)
held = circle()
gc.collect()
assert held() is None
"""
    program = [sys.executable, "-c", WALK.format(value="[1]", body=body)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "whole\n", "")
