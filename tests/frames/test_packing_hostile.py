"""Packing a message runs Python code of its values: whatever that does to the message, the packer answers or refuses.

In processes of their own and with a debugging allocator, which overwrites what is freed: a packer that looks at an
object after its container let go of it ends the process.
"""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import datetime as dt, faulthandler, gc, random
from collections import OrderedDict, UserDict
from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame, pack, unpack
from factflow_protocols import Ext, Timestamp
faulthandler.enable()

rng = random.Random({seed})
alive = []       # every container of the message that is packed, innermost last
ran = refused = whole = 0

def harm(container):
    fresh = [[object()] * 3, {{"b" * 40: [1.5]}}, "c" * 1000, b"d" * 1000, 10**18]
    rng.shuffle(fresh)
    if isinstance(container, dict):
        if rng.random() < 0.5:
            container.clear()
        container.update({{f"key {{number}}" * 5: item for number, item in enumerate(fresh)}})
        if rng.random() < 0.5:
            container.clear()
    elif isinstance(container, list):
        container[:] = rng.choice([[], fresh, fresh * 100])
    else:
        container.clear()

def attack():
    global ran
    ran += 1
    for container in alive:
        if rng.random() < 0.7:
            harm(container)
    if rng.random() < 0.1:
        gc.collect()
    [bytearray(size) for size in (24, 32, 48, 56, 64, 128, 512)]  # takes what was freed

class Zone(dt.tzinfo):
    def utcoffset(self, _):
        attack()
        return dt.timedelta(0)

class Moment(dt.datetime):
    def __sub__(self, other):
        attack()
        return super().__sub__(other)

class Leaving:
    "Attacks when the message's last reference to it goes."
    def __del__(self):
        attack()

class Index:
    def __index__(self):
        attack()
        return 7

class Odd(str): pass
class Map(dict): pass
class List(list): pass

def hostile():
    return rng.choice([
        lambda: dt.datetime(2024, 1, 1, tzinfo=Zone()),
        lambda: Moment(2024, 1, 1, tzinfo=dt.timezone.utc),
        lambda: Timestamp(Index(), 5),
        lambda: Ext(Index(), b"e" * 100),
        lambda: (dt.datetime(2024, 1, 1, tzinfo=Zone()), "f" * 100),
    ])()

def tame(depth):
    return rng.choice([
        lambda: "text " * 20,
        lambda: Odd("odd " * 20),
        lambda: 2.5 * rng.random(),
        lambda: b"data" * 30,
        lambda: bytearray(b"data" * 30),
        lambda: memoryview(b"data" * 30),
        lambda: rng.getrandbits(62),
        lambda: Timestamp(rng.getrandbits(40), 5),
    ])()

def value(depth):
    if depth == 0 or rng.random() < 0.3:
        return hostile() if rng.random() < 0.5 else tame(depth)
    children = [value(depth - 1) for _ in range(rng.randrange(1, 6))]
    kind = rng.choice([dict, OrderedDict, Map, list, List, tuple])
    if issubclass(kind, dict):
        made = kind((f"a key of its own {{number}} {{rng.random()}}", child) for number, child in enumerate(children))
    else:
        made = kind(children)
    if kind is not tuple:
        alive.append(made)
    return made

def attempt(call):
    global refused, whole
    try:
        data = call()
    except (CodecError, TypeError, RuntimeError):
        refused += 1
    else:
        unpack(data)
        whole += 1

for _ in range(400):
    alive.clear()
    message = value(4)
    alive.append([Leaving()])
    attempt(lambda: pack(message))
    alive.clear()
    headers = UserDict({{f"name {{number}}": value(2) for number in range(4)}})
    alive.append(headers)
    attempt(lambda: Frame.create(b"\\xc0", message_id=bytes(16), headers=headers).encode() and b"\\xc0")
alive.clear()
assert ran > 300 and refused > 100 and whole > 50, (ran, refused, whole)
print("survived")
"""


@pytest.mark.parametrize("seed", range(4))
def test_values_that_change_the_message_while_it_is_packed_cannot_make_it_read_what_is_freed(seed):
    program = [sys.executable, "-c", PROGRAM.format(seed=seed)]
    environment = {**os.environ, "PYTHONMALLOC": "debug"}
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (ended.returncode, ended.stdout) == (0, "survived\n"), ended.stderr[-2000:]
