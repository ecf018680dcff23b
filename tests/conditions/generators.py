"""Random conditions and messages that have something to do with each other.

Functions of a `random.Random`, so that hypothesis can drive them and a long run can draw faster than hypothesis does.
Values and literals come from the same small pools, which hold the neighbours of every boundary; fields from three
names, so that paths meet what is there about as often as not.
"""

import base64
import math
import struct

from factflow_protocols import Ext, Timestamp

NAMES = ["a", "b", "a.b"]
INTEGERS = [0, 1, -1, 2, 10, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**53) - 1, -(2**63)]
FLOATS = [
    *(0.0, -0.0, 0.5, -0.5, 0.1, 1.0, 2.0, -1.0, 10.0, 1e300, -1e300, 2.0**53, 2.0**63, -(2.0**63), 2.0**64, 2.0**70),
    *(-(2.0**70), math.nextafter(2.0**64, 0), math.nextafter(2.0**63, 0), math.inf, -math.inf),
    struct.unpack(">f", struct.pack(">f", 0.1))[0],
]
BEYOND_64_BITS = [2**64, 2**64 + 1, -(2**63) - 1, 2**70, 2**70 + 1, -(2**70), -(2**70) - 1, 10**400, -(10**400)]
TEXTS = [
    *("", "a", "ab", "abc", "b", "ba", "aab", "A", "é", "e\u0301", "\U0001f600", "z", "1", "10", "a\n", "x" * 40),
    *("10.0.0.1", "10.0.0.255", "11.0.0.1", "::1", "::ffff:10.0.0.1", "10.0.0.01", "fe80::1%lo", "2001:db8::1"),
]
DATA = [b"", b"a", b"ab", b"b", b"\xff"]
INSTANTS = ["1970-01-01T00:00:00Z", "2026-01-31T12:00:00.5Z", "1969-12-31T23:59:59.999999999Z", "2600-01-01T00:00:00Z"]
PATTERNS = ["^a", "b$", "a.c", "(?i)^AB", "[a-c]{2}", "^(a|b)*$", "^$", "^[0-9.]+$", "x+", "a|b|é", "(a+)+$"]
NETWORKS = ["10.0.0.0/24", "10.0.0.1", "0.0.0.0/0", "::/0", "::1/128", "::ffff:0:0/96", "2001:db8::/32"]
KINDS = ["null", "bool", "int", "float", "number", "str", "bin", "array", "map", "ext", "timestamp"]


def timestamp(text):
    seconds = {"1970": 0, "2026": 1_769_860_800, "1969": -1, "2600": 19_880_899_200}[text[:4]]
    return Timestamp(seconds, {"2026": 500_000_000, "1969": 999_999_999}.get(text[:4], 0))


def scalar(random):
    """A scalar of a message."""
    pool = random.randrange(10)
    if pool < 3:
        return random.choice(INTEGERS)
    if pool < 5:
        return random.choice([*FLOATS, math.nan])
    if pool < 7:
        return random.choice(TEXTS)
    if pool == 7:
        return random.choice([None, True, False])
    if pool == 8:
        return random.choice(DATA)
    return random.choice([timestamp(random.choice(INSTANTS)), Ext(5, b"a"), Ext(5, b"b"), Ext(-2, b"a")])


def value(random, depth=3):
    """A value of a message."""
    shape = random.randrange(5) if depth else 4
    if shape == 0:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    if shape == 1:
        return mapping(random, depth - 1)
    return scalar(random)


def mapping(random, depth):
    return {name: value(random, depth) for name in [*NAMES, "0", ""] if random.random() < 0.5}


def message(random):
    """A message: nearly always a map."""
    return mapping(random, 3) if random.random() < 0.95 else value(random)


def spelt(random, item):
    """A value as a condition's author writes it; None if it cannot be written."""
    if isinstance(item, float) and math.isnan(item):
        return 0
    if isinstance(item, bytes) and random.random() < 0.8:
        return {"$bin": base64.b64encode(item).decode()}
    if isinstance(item, Timestamp) and random.random() < 0.8:
        return {"$timestamp": random.choice([text for text in INSTANTS if timestamp(text) == item])}
    if isinstance(item, (Timestamp, Ext)):
        return item
    if isinstance(item, list):
        return [spelt(random, part) for part in item]
    if isinstance(item, dict):
        return {key: spelt(random, part) for key, part in item.items()}
    return item


def literal(random, depth=2):
    if random.random() < 0.05:
        return random.choice(BEYOND_64_BITS)
    return spelt(random, value(random, depth))


def orderable(random):
    pool = random.choice([INTEGERS, FLOATS, BEYOND_64_BITS, TEXTS, DATA, [timestamp(text) for text in INSTANTS]])
    return random.choice(pool)


def between(random):
    while True:
        lowest, highest = orderable(random), orderable(random)
        numbers = (int, float)
        if isinstance(lowest, numbers) if isinstance(highest, numbers) else type(lowest) is type(highest):
            pair = sorted([lowest, highest], key=str.encode if isinstance(lowest, str) else None)
            return [spelt(random, item) for item in pair]


def path(random):
    """A path in any of its written forms, to nowhere in particular."""
    parts = [
        random.choice([*NAMES, *NAMES, *NAMES, "0", "", 0, -1, 1, "*", "*"])
        for _ in range(random.choice([1, 1, 1, 2, 2, 3]))
    ]
    return "@" if random.random() < 0.05 else written(random, parts)


def written(random, parts):
    """A path of keys, indices and "*", in one of the forms that say it."""
    if not parts:
        return "@"
    if "*" not in parts and random.random() < 0.2:
        return parts
    if not {"*", -1} & set(parts) and random.random() < 0.2:
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    text = ""
    for part in parts:
        if isinstance(part, int) or part == "*":
            text += f"[{part}]"
        else:
            text += ("." if text else "") + key(random, part)
    return ("@" + text if text.startswith("[") else "@." + text) if random.random() < 0.1 else text


def place(random, item):
    """A path to somewhere in a message, and what is there."""
    parts = []
    while isinstance(item, (dict, list)) and item and random.random() < 0.8:
        if isinstance(item, dict):
            part = random.choice(list(item))
            item = item[part]
        else:
            index = random.randrange(len(item))
            part = random.choice([index, -1 if index == len(item) - 1 else index, "*"])
            item = item[index]
        parts.append(part)
    return written(random, parts), item


def key(random, name):
    if not name or random.random() < 0.2:
        return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'
    return name.replace(".", r"\.")


def some(random, pool):
    return random.choice(pool) if random.random() < 0.5 else random.choices(pool, k=random.randrange(1, 4))


def length(random):
    if random.random() < 0.5:
        return random.randrange(4)
    return random.choice([{"gt": 1}, {"gte": 1, "lt": 3}, {"lte": 2}, {"eq": 0}, {"gt": 0, "lte": 2**70}])


VALUES = {
    "eq": literal,
    "neq": literal,
    "gt": lambda random: spelt(random, orderable(random)),
    "gte": lambda random: spelt(random, orderable(random)),
    "lt": lambda random: spelt(random, orderable(random)),
    "lte": lambda random: spelt(random, orderable(random)),
    "between": between,
    "in": lambda random: [literal(random) for _ in range(random.randrange(6))],
    "not_in": lambda random: [literal(random) for _ in range(random.randrange(6))],
    "contains": literal,
    "starts_with": lambda random: some(random, TEXTS),
    "ends_with": lambda random: some(random, TEXTS),
    "matches": lambda random: random.choice(PATTERNS),
    "exists": lambda random: random.choice([True, False]),
    "is_null": lambda random: random.choice([True, False]),
    "type_is": lambda random: some(random, KINDS),
    "length": length,
    "cidr": lambda random: some(random, NETWORKS),
}


def neighbours(random, item):
    """A value that can be ordered, beside the item or the item itself."""
    if isinstance(item, bool) or not isinstance(item, (int, float, str, bytes, Timestamp)):
        return orderable(random)
    if isinstance(item, float) and not math.isfinite(item):
        return item if math.isinf(item) else 0.0
    if isinstance(item, int):
        return item + random.choice([-1, 0, 0, 1, 0.0])
    if isinstance(item, float):
        return random.choice([item, math.nextafter(item, 0), int(item)])
    return random.choice([item, spelt(random, item)])


def mixed(random, item):
    """A list that may hold the item."""
    items = [literal(random) for _ in range(random.randrange(4))]
    if random.random() < 0.7:
        items.insert(random.randrange(len(items) + 1), spelt(random, item))
    return items


def part(random, item):
    """Something that the item may contain."""
    if isinstance(item, (str, bytes, list)) and item:
        start = random.randrange(len(item))
        return spelt(random, item[start] if isinstance(item, list) else item[start : start + 2])
    return literal(random)


def affix(random, item):
    """Texts that may stand at an end of the item."""
    if isinstance(item, str) and item:
        cut = random.randrange(len(item) + 1)
        return [item[:cut], item[cut:]]
    return some(random, TEXTS)


RELATED = {
    "eq": lambda random, item: spelt(random, item) if random.random() < 0.7 else literal(random),
    "neq": lambda random, item: spelt(random, item) if random.random() < 0.7 else literal(random),
    "gt": neighbours,
    "gte": neighbours,
    "lt": neighbours,
    "lte": neighbours,
    "in": mixed,
    "not_in": mixed,
    "contains": part,
    "starts_with": affix,
    "ends_with": affix,
}


def leaf(random, near=None):
    """A question about a field; often one that `near`, a message, has an answer to."""
    operator = random.choice([*VALUES, "eq", "in", "gt", "between"])
    if near is None or random.random() < 0.3:
        return {"field": path(random), "operator": operator, "value": VALUES[operator](random)}
    field, item = place(random, near)
    related = RELATED.get(operator, lambda random, item: VALUES[operator](random))
    return {"field": field, "operator": operator, "value": related(random, item)}


def condition(random, depth=2, near=None):
    """A condition that compiles."""
    form = random.randrange(9) if depth else 8
    if form < 2:
        parts = [condition(random, depth - 1, near) for _ in range(random.randrange(1, 4))]
        return {"all_of" if form else "any_of": parts}
    if form == 2:
        return {"not": condition(random, depth - 1, near)}
    if form == 3:
        arrays = [name for name, item in near.items() if isinstance(item, list)] if isinstance(near, dict) else []
        name = random.choice(arrays) if arrays else None
        field = path(random) if name is None else written(random, [name])
        element = random.choice(near[name]) if name is not None and near[name] else None
        return {"any_element": {"field": field, "condition": condition(random, depth - 1, element)}}
    return leaf(random, near)


def pair(random):
    """A message, its bytes, and a condition that has something to do with it."""
    item = message(random)
    return condition(random, near=item), item, encode(random, item)


def encode(random, item):
    """A value's msgpack, in one of the encodings that say the same."""
    if item is None or isinstance(item, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[item]
    if isinstance(item, int):
        return random.choice(integers(item))
    if isinstance(item, float):
        return random.choice(floats(item))
    if isinstance(item, str):
        text = item.encode()
        return headed(random, len(text), ((0xA0, 31),), b"\xd9\xda\xdb") + text
    if isinstance(item, bytes):
        return headed(random, len(item), (), b"\xc4\xc5\xc6") + item
    if isinstance(item, Timestamp):
        return encode_timestamp(random, item)
    if isinstance(item, Ext):
        return b"\xc7" + bytes([len(item.data), item.code & 0xFF]) + item.data
    if isinstance(item, list):
        parts = b"".join(encode(random, part) for part in item)
        return headed(random, len(item), ((0x90, 15),), b"\xdc\xdd") + parts
    parts = b"".join(encode(random, name) + encode(random, part) for name, part in item.items())
    return headed(random, len(item), ((0x80, 15),), b"\xde\xdf") + parts


def integers(number):
    formats = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}
    encodings = [bytes([number & 0xFF])] if -32 <= number <= 127 else []
    for marker, code in formats.items():
        try:
            encodings.append(struct.pack(f">B{code}", marker, number))
        except struct.error:
            continue  # it does not fit that width
    return encodings


def floats(number):
    encodings = [struct.pack(">Bd", 0xCB, number)]
    try:
        single = struct.pack(">Bf", 0xCA, number)
    except OverflowError:
        return encodings  # beyond single precision
    if struct.unpack(">f", single[1:])[0] == number or math.isnan(number):
        encodings.append(single)
    return encodings


def headed(random, size, short, markers):
    headers = [bytes([base | size]) for base, most in short if size <= most]
    for marker, code in zip(markers, "BHI"[-len(markers) :], strict=True):
        if size < 1 << 8 * struct.calcsize(code):
            headers.append(struct.pack(f">B{code}", marker, size))
    return random.choice(headers)


def encode_timestamp(random, instant):
    seconds, nanoseconds = instant
    encodings = [b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds)]
    if 0 <= seconds < 1 << 34:
        encodings.append(b"\xd7\xff" + struct.pack(">Q", nanoseconds << 34 | seconds))
    if nanoseconds == 0 and 0 <= seconds < 1 << 32:
        encodings.append(b"\xd6\xff" + struct.pack(">I", seconds))
    return random.choice(encodings)
