"""Conditions compiled from objects that run code of their own: each ends in a condition or an exception, by value."""

from collections import UserDict, UserList
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.conditions import compile_condition
from factflow_engine.errors import ConditionErrors, NativePanicError
from factflow_engine.native import RouteTable
from factflow_engine.native import compile_condition as native


class Changing:
    """Changes a mapping whenever anything is asked of it."""

    def __init__(self, mapping):
        object.__setattr__(self, "mapping", mapping)

    def _change(self):
        mapping = object.__getattribute__(self, "mapping")
        for number in range(50):
            mapping[f"more{len(mapping) + number}"] = number
        mapping.pop("z", None)

    def __getattr__(self, name):
        self._change()
        raise AttributeError(name)

    @property
    def __class__(self):
        self._change()
        return Changing

    def __iter__(self):
        self._change()
        return iter([])


class Odd(int):
    """An int that lies about itself, and changes a mapping."""

    mapping: ClassVar[dict[str, Any]] = {}

    def _lie(self, *_):
        for number in range(1000):
            self.mapping[str(number)] = number
        return 2**70

    __abs__ = __index__ = __int__ = __neg__ = __lt__ = __gt__ = __eq__ = bit_length = to_bytes = _lie  # type: ignore[assignment]
    __hash__ = int.__hash__


@pytest.mark.parametrize("where", ["leaf", "nested", "list", "subclass", "mapping"])
def test_a_mapping_that_changes_meanwhile_is_read_as_it_was(where):
    leaf = {"field": "a", "operator": "eq", "z": 1}
    leaf["value"] = Changing(leaf)
    source = {
        "leaf": lambda: leaf,
        "nested": lambda: {"all_of": [leaf]},
        "list": lambda: {"field": "a", "operator": "in", "value": [Changing(leaf), leaf]},
        "subclass": lambda: type("Dict", (dict,), {})(leaf),
        "mapping": lambda: UserDict(leaf),
    }[where]()
    with pytest.raises(ConditionErrors):
        compile_condition(source)
    with pytest.raises(ConditionErrors):
        RouteTable([("id", source)])


@given(st.integers(-(2**80), 2**80), st.sampled_from(["eq", "gt", "neq", "lte"]))
def test_an_int_is_the_number_that_it_is_whatever_its_class_says(number, operator):
    odd = Odd(number)
    condition = {"field": "a", "operator": operator, "value": odd, "z": 1}
    odd.mapping = condition
    del condition["z"]
    said = None
    try:
        plain = compile_condition({"field": "a", "operator": operator, "value": number})
    except ConditionErrors as error:
        said = str(error)
    if said is not None:
        with pytest.raises(ConditionErrors) as raised:
            compile_condition(condition)
        assert str(raised.value) == said
        return
    compiled = compile_condition(condition)
    for asked in (number - 1, number, number + 1, 0, 2**63 - 1, -(2**63)):
        if -(2**63) <= asked < 2**64:
            assert compiled.matches_value({"a": asked}) == plain.matches_value({"a": asked})


class Raising(Mapping):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, key):
        raise self.error

    def __iter__(self):
        raise self.error

    def __len__(self):
        return 1


class Text(str):
    __slots__ = ()

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def hostile():
    meta = type("Meta", (type,), {"__instancecheck__": lambda *_: 1 / 0, "__repr__": lambda _: 1 / 0})
    odd_name = type(Text("Name"), (), {})
    class_raises = type("ClassRaises", (), {"__class__": property(lambda _: 1 / 0)})
    length = type("Length", (list,), {"__len__": lambda _: 10**9, "__iter__": lambda _: 1 / 0})
    return [
        meta("Made", (), {})(), odd_name(), class_raises(), length([1]), Raising(ValueError("x")), Text("a"),
        UserList([1]), Decimal(1), float("nan"), b"", bytearray(b"a"), memoryview(b"a"), object, range(3), {1: 2},
        {Text("field"): 1}, [[]] * 3, type("Bytes", (bytes,), {"__len__": lambda _: 1 / 0})(b"ab"),
        type("Float", (float,), {"__float__": lambda _: 1 / 0})(1.5), type("Tuple", (tuple,), {"__iter__": lambda _: 1 / 0})((1,)),
    ]  # fmt: skip


KEYS = ("field", "operator", "value", "all_of", "any_of", "not", "any_element")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", range(len(hostile())))
@pytest.mark.parametrize("key", KEYS)
def test_whatever_is_written_ends_in_a_condition_or_an_exception(key, number):
    leaf, raised = {"field": "a", "operator": "eq", "value": 1}, []
    for source in (
        hostile()[number],
        {key: hostile()[number]},
        leaf | {key: hostile()[number]},
        {"all_of": [leaf | {key: hostile()[number]}]},
        leaf | {Text(key): hostile()[number]},
        [hostile()[number]],
    ):
        for build in (compile_condition, lambda source: RouteTable([("id", source)])):
            try:
                build(source)
            except Exception as error:
                raised.append(error)
    assert not any(isinstance(error, NativePanicError) for error in raised)


def test_an_operator_that_empties_the_condition_while_it_is_bound():
    source = {"all_of": [{"field": "a", "operator": "hostile", "value": number} for number in range(3)]}

    class Emptying:
        def custom_names(self):
            return [("hostile", True)]

        def bind(self, name, condition):
            source["all_of"].clear()
            return lambda value: True

    with pytest.raises(IndexError):
        native(source, Emptying(), dict)
