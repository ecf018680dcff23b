"""Any source as a condition in Python, and any bytes as its message; and conditions that the reference answers, too.

An input begins with how to take the rest: as the number of a draw of `conditions.generators`, for which the slow reference
is asked; or as a source, in msgpack, and behind it a message. Examples are searched in both cases: one that is found
holds, and where there is proved to be none, no message may hold.
"""

# ruff: noqa: PT017 - a check is no test, and looks at errors as they come

import random

import msgpack

from conditions import generators, reference
from conditions.test_examples import asked, meets
from factflow_engine.conditions import CODES, compile_condition
from factflow_engine.conditions.examples import find_example
from factflow_engine.errors import CodecError, ConditionErrors, UndecidedError
from factflow_engine.frames import pack, unpack
from factflow_engine.native import RouteTable
from factflow_protocols import Ext, Timestamp
from fuzz.campaign import Target

DRAWN, EXAMPLE, WRITTEN = b"\x00", b"\x01", b"\x02"


def seeds():
    draws = [how + bytes([number]) for how in (DRAWN, EXAMPLE) for number in range(8)]
    written = []
    for number in range(60):
        source, _, payload = generators.pair(random.Random(number))
        try:
            written.append(WRITTEN + pack(source) + payload)
        except (CodecError, OverflowError, ValueError):
            continue  # it has a number that no message can carry
    return draws + written


WORDS = [
    *(pack(name) for name in ("field", "operator", "value", "all_of", "any_of", "not", "any_element", "condition")),
    *(pack(name) for name in generators.VALUES),
    *(pack(value) for value in [*generators.TEXTS, *generators.PATTERNS, *generators.NETWORKS, *generators.KINDS]),
    *(
        pack(value)
        for value in ("$bin", "$timestamp", "aGk=", *generators.INSTANTS, "@", "a[*]", "a[-1]", "/a/0", "(?=a)")
    ),
    *(
        pack(value)
        for value in (r"\b", "^(a|b){1,9}$", "[^a]", "(?s).", r"\p{L}", "x{999}", "[[:alpha:]]", "a|", "(?i)ß", "$a^")
    ),
    *(
        b"\x81\xa6all_of\x92",
        b"\x81\xa6any_of\x92",
        b"\x81\xa3not",
        b"\x81\xa1a",
        b"\x91",
        b"\xc0",
        b"\xc1",
        b"\xff",
        b"\x7f",
    ),
    *(pack(number) for number in [*generators.INTEGERS, *generators.FLOATS]),
    *(b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xd6\xff\0\0\0\0", b"\xc7\0\x05", b"\xdd\xff\xff\xff\xff", b"\xc4\x02hi"),
]


def check(data):
    how, rest = data[:1], data[1:]
    if how == DRAWN:
        return check_drawn(random.Random(rest))
    if how == EXAMPLE:
        return check_example(random.Random(rest))
    return check_written(rest)


def check_drawn(draw):
    """A condition and messages that have to do with each other: the engine, a table and the reference agree."""
    source, message, payload = generators.pair(draw)
    compiled = compile_condition(source)
    expected = reference.holds(source, message)
    assert compiled.matches(payload) is expected
    table = RouteTable([("it", source), ("not", {"not": source})])
    assert list(table.match(payload)) == (["it"] if expected else ["not"])
    return str(source)[:12], expected


def check_example(draw):
    holding, failing, messages = asked(draw)
    try:
        found = find_example(holding, failing)
    except UndecidedError as error:
        return str(error)[:30]
    if found is None:
        assert not any(meets(holding, failing, message) for message in messages), "an example was proved impossible"
    else:
        assert meets(holding, failing, found.value), found
    return len(holding), len(failing), found is None


def check_written(data):
    unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=_ext, timestamp=0, max_buffer_size=len(data) or 1)
    unpacker.feed(data)
    try:
        source = plain(unpacker.unpack())
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError):
        return "no source"
    payload = data[unpacker.tell() :]
    try:
        compiled = compile_condition(source)
    except ConditionErrors as error:
        assert error.findings
        for finding in error.findings:
            assert finding.code in CODES
            assert finding.problem
            assert finding.remedy
        return tuple(finding.code for finding in error.findings)
    try:
        message = unpack(payload)
    except CodecError:
        message = None
        try:
            holds = compiled.matches(payload)
        except CodecError:
            holds = None
    else:
        holds = compiled.matches(payload)
        assert compiled.matches_value(message) is holds
    table = RouteTable([("it", source), ("not", {"not": source})]) if depth_of(source) < 60 else None
    if table is not None and message is not None:
        assert list(table.match(payload)) == (["it"] if holds else ["not"])
    try:
        found = find_example([source])
    except UndecidedError as error:
        return str(error)[:30]
    if found is None:
        assert message is None or not holds, "an example was proved impossible"
    else:
        assert compiled.matches_value(found.value), found
    return str(source)[:40], found is None, holds


def depth_of(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, inner), default=0)


def _ext(code, data):
    return Ext(code, data) if code != -1 else None


def plain(value):
    """A value as the engine knows it."""
    if isinstance(value, msgpack.Timestamp):
        return Timestamp(value.seconds, value.nanoseconds)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


TARGET = Target(name="conditions", check=check, seeds=seeds(), words=WORDS)
