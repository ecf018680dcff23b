"""Paths to fields inside a message, written as in conditions, for what reads and changes fields.

A condition only reads; these paths also set and remove fields, which the compiled paths of conditions cannot do.
Written forms: `a.b`, `items[0].name`, `items[-1]`, and quotes around a name with a dot or bracket in it:
`headers."x.y"`. Kept separate from the adapters because what stages store is chosen by such a path, too.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from factflow_protocols import Reject

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda _: "<missing>", "__slots__": ()})()

_SEGMENT: Final = re.compile(r'"((?:[^"\\]|\\.)+)"|((?:[^.\[\]"\\]|\\.)+)')
_INDEX: Final = re.compile(r"\[(-?\d{1,9})\]")


class FieldPath:
    """Path of a field: map keys (str) and list indices (int), from the root of the message.

    Attributes:
        text: The path as it was written.
        segments: The keys and indices, at least one.
    """

    __slots__ = ("segments", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.segments = _parse(text)

    def get(self, message: Any) -> Any:
        """Return the field's value, or `MISSING`."""
        value = message
        for segment in self.segments:
            value = _step(value, segment)
            if value is MISSING:
                return MISSING
        return value

    def require(self, message: Any) -> Any:
        """Return the field's value.

        Raises:
            Reject: There is no such field; another attempt would not find it either.
        """
        value = self.get(message)
        if value is MISSING:
            raise Reject(f"the message has no field {self.text!r}; {_described(message)}")
        return value

    def set(self, message: Any, value: Any) -> None:
        """Set the field, making missing maps on the way.

        Raises:
            Reject: A value on the path is not a map, or not a list that is long enough.
        """
        holder = message
        for segment, following in zip(self.segments, self.segments[1:], strict=False):
            child = _step(holder, segment)
            if child is MISSING and isinstance(following, str):
                child = {}
                self._assign(holder, segment, child)
            holder = child
        self._assign(holder, self.segments[-1], value)

    def pop(self, message: Any) -> Any:
        """Remove the field and return its value; `MISSING` if there was none. Emptied maps stay.

        Raises:
            Reject: The path ends in a list index: removing it would move the others.
        """
        holder = message
        for segment in self.segments[:-1]:
            holder = _step(holder, segment)
        last = self.segments[-1]
        if isinstance(last, str) and isinstance(holder, dict):
            return holder.pop(last, MISSING)
        if _step(holder, last) is MISSING:
            return MISSING
        raise Reject(f"field {self.text!r} is an element of a list and cannot be removed")

    def _assign(self, holder: Any, segment: str | int, value: Any) -> None:
        container: Any = holder  # a dict or a list, by the kind of the segment
        if isinstance(segment, str):
            fits = isinstance(holder, dict)
        else:
            fits = isinstance(holder, list) and -len(holder) <= segment < len(holder)
        if not fits:
            wanted = "a map" if isinstance(segment, str) else "a list that is long enough"
            raise Reject(
                f"field {self.text!r} cannot be set: what should hold {segment!r} is {kind_of(holder)}, not {wanted}"
            )
        container[segment] = value


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of JSON, as messages say it: `null`, `a map`, `an integer`; or `missing`."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a text"),
    (Mapping, "a map"),
    (list, "a list"),
)


def require_map(message: Any, adapter: str) -> dict[str, Any]:
    """Return the message if it is a map.

    Raises:
        Reject: The message is not a map.
    """
    if not isinstance(message, dict):
        raise Reject(f"{adapter} needs a message that is a map, {_described(message)}")
    return message


def _parse(text: str) -> tuple[str | int, ...]:
    segments: list[str | int] = []
    position = 0
    while True:
        name = _SEGMENT.match(text, position)
        if name is None:
            raise ValueError(
                f"{text!r} is not a field path: a name was expected at character {position + 1}; "
                'write it like a.b, items[0].name or headers."x.y"'
            )
        segments.append(re.sub(r"\\(.)", r"\1", name[1] if name[1] is not None else name[2]))
        position = name.end()
        while index := _INDEX.match(text, position):
            segments.append(int(index[1]))
            position = index.end()
        if position == len(text):
            return tuple(segments)
        if text[position] != ".":
            raise ValueError(
                f"{text!r} is not a field path: a dot was expected at character {position + 1}, "
                f'got {text[position]!r}; write it like a.b, items[0].name or headers."x.y"'
            )
        position += 1


def _step(value: Any, segment: str | int) -> Any:
    if isinstance(segment, str):
        return value.get(segment, MISSING) if isinstance(value, Mapping) else MISSING
    if isinstance(value, list) and -len(value) <= segment < len(value):
        return value[segment]
    return MISSING


def _described(message: Any) -> str:
    if not isinstance(message, Mapping):
        return f"it is {kind_of(message)}"
    names = sorted(str(name) for name in message)
    listing = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"it has {listing}" if names else "it is an empty map"
