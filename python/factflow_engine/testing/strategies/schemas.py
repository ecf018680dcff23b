"""Values that a JSON Schema allows, built keyword by keyword.

Kept separate from `messages` because configurations of adapters are drawn from their schemas, too. Keywords that a
schema combines (`allOf`, and siblings of `anyOf`) are merged into one schema first (`merging`). Only `oneOf`, where
exactly one branch may hold, and lengths beside a pattern are checked after the value was drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factflow_engine.testing.strategies.errors import UnsupportedSchemaError
from factflow_engine.testing.strategies.formats import FORMATS, matching
from factflow_engine.testing.strategies.merging import ANNOTATIONS, COMBINING, merged, types_of

Schema = Mapping[str, Any]
Values = st.SearchStrategy[Any]

_LEAST, _MOST = -(2**63), 2**64 - 1
_NOTHING: Final = st.nothing()
_MORE_ITEMS: Final = 3
"""Items of a list, and fields of a map, beyond the least number, unless the schema allows fewer."""


def values_of(schema: Schema | bool, *, by_examples: bool = False) -> Values:  # noqa: FBT001 - a schema may be true or false
    """Return a strategy for the values that a schema allows; see `messages` for the keywords.

    Args:
        schema: The schema.
        by_examples: True to draw a value whose schema has `examples` from these.

    Raises:
        UnsupportedSchemaError: It has a keyword from which nothing can be built, or allows no value.
    """
    try:
        values = _Builder(schema, by_examples=by_examples).values(schema, "")
    except RecursionError:
        problem = "expected each $ref to lead into a list or a map, or to an end, got one that comes back to itself"
        raise UnsupportedSchemaError("", problem) from None
    if values.is_empty:
        raise UnsupportedSchemaError("", "expected one that allows a value, got one that allows none")
    return values


class _Builder:
    """Strategies for the parts of one schema; each definition that `$ref` names is built once, and may name itself."""

    def __init__(self, root: Schema | bool, *, by_examples: bool) -> None:  # noqa: FBT001
        self._root = root
        self._by_examples = by_examples
        self._referred: dict[str, Values] = {}
        self._kinds: Mapping[str, Callable[[Schema, str], Values]] = {
            "null": lambda _schema, _path: st.none(),
            "boolean": lambda _schema, _path: st.booleans(),
            "integer": lambda schema, _path: _integers(schema),
            "number": lambda schema, _path: _numbers(schema),
            "string": _texts,
            "array": self._lists,
            "object": self._maps,
        }

    def values(self, schema: object, path: str) -> Values:
        if schema is True:
            return _ANYTHING
        if schema is False:
            return _NOTHING
        if not isinstance(schema, Mapping):
            raise UnsupportedSchemaError(path, f"expected a mapping, true or false, got {schema!r:.60}")
        if self._by_examples and schema.get("examples"):
            return st.sampled_from(schema["examples"])
        if set(schema) - ANNOTATIONS == {"$ref"}:
            return self._reference(schema["$ref"], path)
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self.values(merged(self._resolved(schema["$ref"], path), rest, path), path)
        for keyword in COMBINING:
            if keyword in schema:
                return self._combined(keyword, schema, path)
        return self._plain(schema, path)

    def _reference(self, name: str, path: str) -> Values:
        if name not in self._referred:
            target, passed = self._resolved(name, path), {name}
            while isinstance(target, Mapping) and set(target) - ANNOTATIONS == {"$ref"}:
                if target["$ref"] in passed:
                    return _NOTHING
                passed.add(target["$ref"])
                target = self._resolved(target["$ref"], path)
            self._referred[name] = st.deferred(lambda: built)
            built = self.values(target, name.removeprefix("#"))
        return self._referred[name]

    def _resolved(self, name: object, path: str) -> Any:
        found: Any = self._root
        try:
            if not isinstance(name, str) or not name.startswith("#"):
                raise KeyError(name)
            for part in name.removeprefix("#").split("/")[1:]:
                if isinstance(found, list):
                    if not part.isdecimal():
                        raise KeyError(part)
                    found = found[int(part)]
                else:
                    found = found[part.replace("~1", "/").replace("~0", "~")]
        except (IndexError, KeyError, TypeError):
            problem = f"expected a $ref to a part of this schema, such as '#/$defs/NAME', got {name!r:.60}"
            raise UnsupportedSchemaError(path, problem) from None
        return found

    def _combined(self, keyword: str, schema: Schema, path: str) -> Values:
        rest = {key: value for key, value in schema.items() if key != keyword}
        branches = [self._unfolded(branch, path) for branch in schema[keyword]]
        if keyword == "allOf":
            for index, branch in enumerate(branches):
                rest = merged(rest, branch, f"{path}/allOf/{index}")
            return self.values(rest, path)
        each = [
            self.values(merged(rest, branch, f"{path}/{keyword}/{index}"), f"{path}/{keyword}/{index}")
            for index, branch in enumerate(branches)
        ]
        values = _union(each)
        if keyword == "anyOf":
            return values
        definitions = self._root if isinstance(self._root, Mapping) else {}
        whole = {key: definitions[key] for key in ("$defs", "definitions") if key in definitions} | dict(schema)
        return values.filter(Draft202012Validator(whole).is_valid)

    def _unfolded(self, branch: object, path: str) -> Any:
        """Return a branch without a `$ref` at its top, so that it can be merged."""
        if isinstance(branch, Mapping) and "$ref" in branch:
            rest = {key: value for key, value in branch.items() if key != "$ref"}
            return merged(self._resolved(branch["$ref"], path), rest, path)
        return branch

    def _plain(self, schema: Schema, path: str) -> Values:
        if "const" in schema or "enum" in schema:
            given = [schema["const"]] if "const" in schema else list(schema["enum"])
            rest = {key: value for key, value in schema.items() if key not in {"const", "enum"} | ANNOTATIONS}
            allowed = list(filter(Draft202012Validator(rest).is_valid, given)) if rest else given
            return st.sampled_from(allowed) if allowed else _NOTHING
        for keyword in schema:
            if keyword not in _KNOWN and not keyword.startswith("x-"):
                known = ", ".join(sorted(_KNOWN - ANNOTATIONS))
                raise UnsupportedSchemaError(path, f"expected keywords among {known}, got {keyword!r}")
        kinds = types_of(schema)
        if kinds is None:
            kinds = [kind for kind, keywords in _KEYWORDS.items() if keywords & schema.keys()]
            if not kinds:
                return _ANYTHING
        for kind in kinds:
            if kind not in self._kinds:
                raise UnsupportedSchemaError(path, f"expected a type among {', '.join(self._kinds)}, got {kind!r:.60}")
        return _union([self._kinds[kind](schema, path) for kind in kinds])

    def _lists(self, schema: Schema, path: str) -> Values:
        first = [
            self.values(inner, f"{path}/prefixItems/{index}")
            for index, inner in enumerate(schema.get("prefixItems", ()))
        ]
        least, most = _sizes(schema, "Items", len(first))
        rest = self.values(schema.get("items", not first or least > len(first)), f"{path}/items")
        unique = schema.get("uniqueItems") is True
        if first:
            room = max(0, most - len(first))
            more = (
                st.builds(list)
                if rest is _NOTHING or not room
                else st.lists(rest, min_size=max(0, least - len(first)), max_size=room)
            )
            lists = st.tuples(st.tuples(*first[:most]), more).map(lambda drawn: [*drawn[0], *drawn[1]])
            return (
                lists.filter(lambda items: len({_identity(item) for item in items}) == len(items)) if unique else lists
            )
        if rest is _NOTHING:
            return _NOTHING if least else st.builds(list)
        return st.lists(rest, min_size=least, max_size=most, unique_by=_identity if unique else None)

    def _maps(self, schema: Schema, path: str) -> Values:
        properties = schema.get("properties", {})
        required: Sequence[str] = schema.get("required", ())
        others = schema.get("additionalProperties", True)
        fields = {name: self.values(inner, f"{path}/properties/{_pointer(name)}") for name, inner in properties.items()}
        free = self.values(others, f"{path}/additionalProperties")
        always = {name: fields.get(name, free) for name in required}
        maybe = {name: values for name, values in fields.items() if name not in always and values is not _NOTHING}
        least, most = _sizes(schema, "Properties", len(always) + len(maybe))
        if any(values is _NOTHING for values in always.values()) or most < len(always):
            return _NOTHING
        order = [name for name in dict.fromkeys([*fields, *always]) if name in always or name in maybe]
        known = st.fixed_dictionaries(always, optional=maybe).map(
            lambda drawn: {name: drawn[name] for name in order if name in drawn}
        )
        if most < len(always) + len(maybe):
            known = known.map(lambda drawn: _trimmed(drawn, always, most))
        is_asked = isinstance(others, Mapping) or "propertyNames" in schema or least > len(always)
        if free is _NOTHING or not is_asked:
            return known if least <= len(always) else known.filter(lambda drawn: least <= len(drawn))
        names = self._names(schema, path).filter(lambda name: name not in fields)

        @st.composite
        def with_others(draw: st.DrawFn) -> dict[str, Any]:
            drawn = draw(known)
            lacking, room = max(0, least - len(drawn)), max(0, most - len(drawn))
            more = st.dictionaries(names.filter(lambda name: name not in drawn), free, min_size=lacking, max_size=room)
            return {**drawn, **draw(more)}

        return with_others()

    def _names(self, schema: Schema, path: str) -> st.SearchStrategy[str]:
        rules = schema.get("propertyNames", True)
        if rules is True:
            return st.text("abcxyz", min_size=1, max_size=4)
        names: st.SearchStrategy[str] = self.values({"type": "string", **rules}, f"{path}/propertyNames")
        return names


def _union(each: Sequence[Values]) -> Values:
    possible = [values for values in each if values is not _NOTHING]
    return st.one_of(*possible) if possible else _NOTHING


def _trimmed(drawn: dict[str, Any], always: Mapping[str, Any], most: int) -> dict[str, Any]:
    kept = [*always, *(name for name in drawn if name not in always)][:most]
    return {name: drawn[name] for name in kept}


def _sizes(schema: Schema, what: str, own: int) -> tuple[int, int]:
    least = schema.get(f"min{what}", 0)
    return least, schema.get(f"max{what}", max(least, own) + _MORE_ITEMS)


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _identity(value: Any) -> Any:
    """Return a key that equal values of JSON share: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, Mapping):
        return "map", frozenset((key, _identity(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_identity, value))
    return ("bool", value) if isinstance(value, bool) else value


def _integers(schema: Schema) -> Values:
    least, most = _bounds(schema, _LEAST, _MOST)
    step = schema.get("multipleOf", 1)
    low, high = -(-least // 1), most // 1
    if step != int(step):
        return st.integers(int(low), int(high)).filter(Draft202012Validator({"multipleOf": step}).is_valid)
    step = int(step)
    first, last = -(-int(low) // step), int(high) // step
    return st.integers(first, last).map(lambda number: number * step) if first <= last else _NOTHING


def _bounds(schema: Schema, least: float, most: float) -> tuple[float, float]:
    """Return the least and the greatest whole number, or bounds of floats; exclusive ones are one off."""
    lows = [least, *(schema[key] for key in ("minimum",) if key in schema)]
    highs = [most, *(schema[key] for key in ("maximum",) if key in schema)]
    if "exclusiveMinimum" in schema:
        lows.append(schema["exclusiveMinimum"] // 1 + 1)
    if "exclusiveMaximum" in schema:
        highs.append(-(-schema["exclusiveMaximum"] // 1) - 1)
    return max(lows), min(highs)


def _numbers(schema: Schema) -> Values:
    whole = _integers(schema)
    if "multipleOf" in schema:
        step = schema["multipleOf"]
        multiples = st.integers(-1_000, 1_000).map(lambda number: number * step)
        return whole | multiples.filter(Draft202012Validator({"type": "number", **_numeric(schema)}).is_valid)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    exclude_min = above is not None and (low is None or above >= low)
    exclude_max = below is not None and (high is None or below <= high)
    low, high = above if exclude_min else low, below if exclude_max else high
    # A bound that no float equals is one of whole numbers beyond 2**53, which need no fractions between.
    least, most = (None if bound is None else float(bound) for bound in (low, high))
    if least is not None and most is not None and (least > most or (least == most and (exclude_min or exclude_max))):
        return whole
    fractions = st.floats(
        least, most, allow_nan=False, allow_infinity=False, exclude_min=exclude_min, exclude_max=exclude_max
    )
    return whole | fractions.filter(Draft202012Validator(_numeric(schema)).is_valid)


def _numeric(schema: Schema) -> dict[str, Any]:
    return {key: schema[key] for key in _KEYWORDS["number"] if key in schema}


def _texts(schema: Schema, path: str) -> Values:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        texts = matching(schema["pattern"], path)
    elif schema.get("format") in FORMATS:
        texts = FORMATS[schema["format"]]
    else:
        return st.text(min_size=least, max_size=most) if most is None or least <= most else _NOTHING
    return texts.filter(lambda text: least <= len(text) and (most is None or len(text) <= most))


_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        {"properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"}
    ),
}
_KNOWN: Final = frozenset({"type"}).union(ANNOTATIONS, *_KEYWORDS.values())

_ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-1_000, 1_000) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
