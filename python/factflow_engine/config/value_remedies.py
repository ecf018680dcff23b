"""Remedies for values of the wrong kind, or that a field does not take.

Kept separate from the errors of models because each rule here is one mistake that people make in YAML.
"""

import re
from typing import Final

from factflow_engine.config.nodes import MappingNode, Node, Path, ScalarNode, SequenceNode

_NUMBERS: Final = {
    "int_type": re.compile(r"[-+]?\d+"),
    "int_parsing": re.compile(r"[-+]?\d+"),
    "float_type": re.compile(r"[-+]?\d+(\.\d+)?"),
    "float_parsing": re.compile(r"[-+]?\d+(\.\d+)?"),
}
_TEXTS: Final = frozenset({"string_type", "string_sub_type"})
_LISTS: Final = frozenset({"list_type", "tuple_type", "set_type"})
_MAPPINGS: Final = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})
_BOOLEANS: Final = frozenset({"bool_type", "bool_parsing"})
_BOUNDS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"})
_SHELL_VARIABLE: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_WITH_UNIT: Final = re.compile(r"[-+]?\d+(\.\d+)? ?[A-Za-zµ%]{1,7}")
_OPERATORS: Final = {"==": "eq", "=": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_EXPRESSION: Final = re.compile(
    r" *(?P<field>[A-Za-z_][\w.]*) *(?P<operator>==|!=|>=|<=|=|>|<) *(?P<value>[-+\w.]+|'[\w .-]*'|\"[\w .-]*\") *"
)
_CHOICES: Final = frozenset({"literal_error", "enum"})
_YES: Final = frozenset({"yes", "on", "y", "true"})
_NO: Final = frozenset({"no", "off", "n", "false"})
_LONGEST: Final = 40


def value_remedy(kind: str, location: Path, node: Node, text: str) -> str:
    """Return what to write instead of a value; empty if nothing more specific than the code's own remedy is known.

    Args:
        kind: Pydantic's type of the error.
        location: Keys and indices of the value, from the root of the model.
        node: The value, as written.
        text: Pydantic's text of the error.
    """
    if kind in _BOUNDS:
        return f"write a number {text.removeprefix('Input should be ')}"
    if kind in _LISTS:
        if isinstance(node, MappingNode):
            return "begin each element with a hyphen: - ..."
        return f"write [{_element(location, node)}]" if _shown(node) else "write a list: [...]"
    if kind in _MAPPINGS:
        return _mapping_remedy(location, node)
    if kind in _CHOICES:
        return "write one of these" if " or " in text else text.replace("Input should be", "write")
    if not isinstance(node, ScalarNode) or node.variables:
        return ""
    if _SHELL_VARIABLE.fullmatch(node.text):
        return f"write ${{{node.text[1:]}}}, in quotes, for the environment's variable"
    if kind in _TEXTS and not isinstance(node.value, str) and _shown(node):
        return f'quote it: "{_shown(node)}"'
    written = node.value if isinstance(node.value, str) and len(node.value) <= _LONGEST else ""
    if kind in _NUMBERS and _NUMBERS[kind].fullmatch(written):
        return f"write {written}, without quotes"
    if kind in _NUMBERS and _WITH_UNIT.fullmatch(written):
        return "write the number alone: the name of the field says its unit"
    if kind in _BOOLEANS and written.lower() in _YES | _NO:
        return f"write {'true' if written.lower() in _YES else 'false'}"
    return ""


def _mapping_remedy(location: Path, node: Node) -> str:
    if isinstance(node, SequenceNode):
        return "write a key for each element rather than a hyphen: NAME: ..."
    if isinstance(node, ScalarNode) and node.value is None:
        return "write its fields below it, further indented, or remove the key"
    if location[-2:-1] in {("adapters",), ("outbound",)} and _shown(node):
        return f"write {_element(location[:-1], node)}"
    if location[-1:] == ("condition",):
        return _condition_remedy(_shown(node))
    return "write fields with their values, indented below the key, or in braces: {field: value}"


def _condition_remedy(written: str) -> str:
    """Return the form of a condition; for an expression, what was probably meant by it."""
    field, operator, value = "NAME", "eq", "..."
    if found := _EXPRESSION.fullmatch(written):
        field, operator, value = found["field"], _OPERATORS[found["operator"]], found["value"]
    return f"write {{field: {field}, operator: {operator}, value: {value}}}"


def _element(location: Path, node: Node) -> str:
    """Return an element of a list, for which a text was written alone."""
    field = {"adapters": "type", "outbound": "route"}.get(str(location[-1]) if location else "")
    if field == "route" and _shown(node).startswith("/"):
        field = "queue"
    return _shown(node) if field is None else f"{{{field}: {_shown(node)}}}"


def _shown(node: Node) -> str:
    if (
        isinstance(node, ScalarNode)
        and not node.variables
        and 0 < len(node.text) <= _LONGEST
        and node.text.isprintable()
    ):
        return node.text
    return ""
