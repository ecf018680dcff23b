"""Remedies for values of the wrong kind, or that a field does not take.

Kept separate from the errors of models because each rule here is one mistake that people make in YAML.
"""

import re
from typing import Final

from factflow_engine.config.nodes import MappingNode, Node, ScalarNode

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
_CHOICES: Final = frozenset({"literal_error", "enum"})
_YES: Final = frozenset({"yes", "on", "y", "true"})
_NO: Final = frozenset({"no", "off", "n", "false"})
_LONGEST: Final = 40


def value_remedy(kind: str, node: Node) -> str:
    """Return what to write instead of a value; empty if nothing more specific than the code's own remedy is known.

    Args:
        kind: Pydantic's type of the error.
        node: The value, as written.
    """
    if kind in _LISTS:
        if isinstance(node, MappingNode):
            return "begin each element with a hyphen: - ..."
        return f"write [{_shown(node)}]" if _shown(node) else "write a list: [...]"
    if kind in _MAPPINGS:
        return "write fields with their values, indented below the key, or in braces: {field: value}"
    if kind in _CHOICES:
        return "write one of these"
    if not isinstance(node, ScalarNode) or node.variables:
        return ""
    if kind in _TEXTS and not isinstance(node.value, str) and _shown(node):
        return f'quote it: "{_shown(node)}"'
    text = node.value if isinstance(node.value, str) else ""
    if kind in _NUMBERS and len(text) <= _LONGEST and _NUMBERS[kind].fullmatch(text):
        return f"write {text}, without quotes"
    if kind in _BOOLEANS and text.lower() in _YES | _NO:
        return f"write {'true' if text.lower() in _YES else 'false'}"
    return ""


def _shown(node: Node) -> str:
    if (
        isinstance(node, ScalarNode)
        and not node.variables
        and 0 < len(node.text) <= _LONGEST
        and node.text.isprintable()
    ):
        return node.text
    return ""
