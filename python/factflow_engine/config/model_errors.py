"""Pydantic's errors as findings: locations become lines and columns, error types become finding codes.

Kept separate because both the document's models and the adapters' use it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from factflow_engine.config.condition_errors import report_condition
from factflow_engine.config.models.resilience import ALGORITHM_FIELD
from factflow_engine.config.nodes import (
    MappingNode,
    Mark,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    has_variables,
    key_mark,
    locate,
    plain_value,
)
from factflow_engine.config.report import Report
from factflow_engine.config.value_remedies import value_remedy
from factflow_engine.errors import ConditionErrors
from factflow_engine.resilience.limit_settings import DEFAULT_ALGORITHM, ParameterProblem, parameter_names

_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "a string",
    "string_sub_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
}
_MISSING: Final = frozenset({"missing", "missing_argument", "missing_keyword_only_argument"})
_UNKNOWN: Final = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_ADD: Final[Mapping[Path, str]] = {("version",): 'add version: "1.0"'}
"""Remedies for missing fields that have one value."""

_MEANT: Final[Mapping[str, str]] = {
    "dlq": "dead_letter_queue",
    "input": "inbound",
    "output": "outbound",
    "outputs": "outbound",
    "processors": "adapters",
    "stages": "adapters",
    "steps": "adapters",
}
"""Words of other engines, and this one's for the same."""

_TYPE_FIRST: Final = "; an adapter is written type: NAME, with its settings under config:"
_LONGEST_VALUE: Final = 60
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Finding codes for a model's errors.

    Attributes:
        unknown: Code of an unknown field.
        missing: Code of a missing field.
        kind: Code of a value of the wrong kind.
        value: Code of a value that is refused.
        remedy: Remedy for a refused value, if nothing more specific is known; empty for the code's own.
    """

    unknown: str
    missing: str
    kind: str
    value: str
    remedy: str = ""


STRUCTURE: Final = Codes(unknown="E101", missing="E102", kind="E104", value="E105")
_RANGES: Final = Codes(unknown="E101", missing="E102", kind="E104", value="E501")
_LIMITING: Final = frozenset(
    {"error_handling", "backpressure", "circuit_breaker", "inbound", "orchestrator", "processor", "timeout_seconds",
     "lineage"}
)  # fmt: skip


def codes_of_adapter(type_name: str) -> Codes:
    """Return the codes for errors of an adapter's config model."""
    remedy = f"`factflow adapters show {type_name}` describes the fields and their values"
    return Codes(unknown="E301", missing="E302", kind="E303", value="E303", remedy=remedy)


def flip_readings(error: ValidationError, root: Node) -> bool:
    """Try the other reading of values that are one environment reference, where the model refused the first.

    Returns:
        True if a value changed, so that validating again is worthwhile.
    """
    changed = False
    for details in error.errors(include_url=False, include_input=False):
        # A limit's algorithm says which of its parameters it does not take.
        problems: tuple[ParameterProblem, ...] = details.get("ctx", {}).get("problems", ())
        for inside in [problem.inside for problem in problems] or [()]:
            node = locate(root, (*details["loc"], *inside))[1]
            if isinstance(node, ScalarNode) and node.flip():
                changed = True
    return changed


def report_model_errors(
    error: ValidationError,
    *,
    root: Node,
    at: Mark,
    prefix: Path,
    model: type[BaseModel] | None,
    codes: Codes,
    report: Report,
) -> None:
    """Add a finding for each error of a model.

    Args:
        error: The error that pydantic raised.
        root: The node that was validated.
        at: Place of findings about all of `root`: its key.
        prefix: Path of `root` in the document.
        model: The model, for the names of its fields.
        codes: Finding codes for the errors.
        report: Report that gets the findings.
    """
    # The input is left out: an error's own text must not contain values of the environment.
    found = error.errors(include_url=False, include_input=False)
    for details in found:
        if details["type"] == "too_short" and any(_is_within(other["loc"], details["loc"]) for other in found):
            continue  # what is missing are the elements that have findings of their own
        _report_one(details, root, at, prefix, model, codes, report)


def _is_within(location: Path, outer: Path) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _report_one(
    details: ErrorDetails,
    root: Node,
    at: Mark,
    prefix: Path,
    model: type[BaseModel] | None,
    codes: Codes,
    report: Report,
) -> None:
    location: Path = details["loc"]
    kind = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if codes is STRUCTURE and _LIMITING.intersection(location):
        codes = _RANGES
    if kind in _UNKNOWN:
        _report_unknown(location, root, prefix, model, codes, report, details["msg"])
        return
    if kind in _MISSING:
        _, node, depth = locate(root, location)
        name = location[-1] if location else ""
        report.add(
            codes.missing,
            key_mark(root, location[:depth]) if depth else at,
            f"the field {name!r} is missing",
            path=(*prefix, *location),
            remedy=_ADD.get(location, f"add {name}:") if isinstance(node, MappingNode) else "",
        )
        return
    if kind == "contradiction":
        written = [field for field in context["fields"] if locate(root, (*location, field))[2] > len(location)]
        location = (*location, *written[:1])
        code = "E203" if "outbound" in location else "E502"
        hides = any(has_variables(locate(root, (*details["loc"], field))[1]) for field in written)
        message = "the values do not go together" if hides else context["problem"]
        place = locate(root, location)[0] if location else at
        report.add(code, place, message, path=(*prefix, *location))
        return
    if kind == "limit":
        for problem in context["problems"]:
            _report_limit(context["code"], problem, root, location, prefix, report)
        return
    mark, node, depth = locate(root, location)
    if not depth:
        mark = at
    cause = context.get("error")
    if isinstance(cause, ConditionErrors):
        for problem in cause.findings:
            report_condition(problem, node, (*prefix, *location), report)
        return
    expected, remedy = _EXPECTED.get(kind), ""  # the code's own
    code = codes.kind if expected is not None else codes.value
    if codes is STRUCTURE:
        code = _special_code(location, kind, code)
    if kind == "field_path":
        code, remedy = "E404", "" if has_variables(node) else context["remedy"]
    elif kind == "explained":
        code, remedy = context["code"], "" if has_variables(node) else context["remedy"]
    elif code in {codes.kind, codes.value}:
        remedy = value_remedy(kind, location, node, details["msg"])
    report.add(
        code,
        mark,
        _message(details, expected, node, context.get("problem")),
        path=(*prefix, *location[:depth]),
        remedy=remedy or codes.remedy,
    )


def _report_limit(
    code: str, problem: ParameterProblem, root: Node, location: Path, prefix: Path, report: Report
) -> None:
    where = (*location, *problem.inside)
    mark, node, _ = locate(root, where)
    if problem.inside and problem.known:  # the name is wrong
        mark = key_mark(root, where)
    hides = has_variables(node)
    remedy = "" if hides else problem.remedy
    if problem.known and not hides:
        name = str(problem.inside[-1] if problem.inside else plain_value(node))
        remedy = report.suggestions.remedy(name, sorted(problem.known))
    message = "the algorithm does not take this value of the environment" if hides else problem.problem
    report.add(code, mark, message, path=(*prefix, *where), remedy=remedy)


def _special_code(location: Path, kind: str, code: str) -> str:
    """Return the code of an error that has one of its own."""
    if location == ("version",):
        return "E006"
    if location == ("routes",) and kind == "too_short":
        return "E109"
    if location[-1:] == ("name",) and kind == "string_pattern_mismatch":
        return "E106"
    return code


def _message(details: ErrorDetails, expected: str | None, node: Node, problem: str | None) -> str:
    got = describe(node)
    if expected is not None:
        return f"expected {expected}, got {got}"
    if problem is not None and not has_variables(node):
        return problem
    text = details["msg"]
    if isinstance(node, SequenceNode) and details["type"] in {"too_short", "too_long"}:
        context = details.get("ctx", {})
        if details["type"] == "too_short":
            return f"expected {context['min_length']} or more elements, got {len(node.items)}"
        return f"expected {context['max_length']} elements at most, got {len(node.items)}"
    if isinstance(node, ScalarNode):
        if text.startswith("Input should be "):
            return f"expected {text.removeprefix('Input should be ')}, got {got}"
        if not node.variables:
            return f"{_lower(text)}; got {got}"
    if has_variables(node):
        # A model's author decides the text of its errors, so none of it may be shown.
        return f"{got} is refused (why is not shown: it holds values of the environment)"
    return _lower(text)


def _lower(text: str) -> str:
    text = text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def describe(node: Node) -> str:
    """Return a value as messages show it; a value from the environment appears as written."""
    if isinstance(node, ScalarNode):
        if node.variables:
            return f"{node.text[:_LONGEST_TEXT]!r} from the environment"
        match node.value:
            case None:
                return "null"
            case bool():
                return "true" if node.value else "false"
            case str() as text if len(text) > _LONGEST_VALUE:
                return f"a string of {len(text)} characters"
            case value:
                return repr(value)[:_LONGEST_VALUE]
    return "a mapping" if isinstance(node, MappingNode) else "a list"


def _report_unknown(
    location: Path,
    root: Node,
    prefix: Path,
    model: type[BaseModel] | None,
    codes: Codes,
    report: Report,
    problem: str,
) -> None:
    name = str(location[-1])
    known = sorted(fields_at(model, location[:-1])) if model is not None else []
    if not known:
        takes_none = codes.unknown == "E301" and model is None
        report.add(
            codes.unknown,
            key_mark(root, location),
            problem if takes_none else f"there is no field {name[:_LONGEST_VALUE]!r} here",
            path=(*prefix, *location),
            remedy="remove it" if takes_none else "",
        )
        return
    owner = locate(root, location[:-1])[1]
    if location[-2:-1] == ("backpressure",) and isinstance(owner, MappingNode):
        own = parameter_names(owner.text(ALGORITHM_FIELD) or DEFAULT_ALGORITHM) or ()
        if name in own:
            remedy = f"write it under parameters: {{{name}: ...}}"
            text = f"there is no field {name!r} here"
            report.add(codes.unknown, key_mark(root, location), text, path=(*prefix, *location), remedy=remedy)
            return
    is_shorthand = location[-3:-2] == ("adapters",) and isinstance(owner, MappingNode) and owner.get("type") is None
    report.add(
        codes.unknown,
        key_mark(root, location),
        f"there is no field {name[:_LONGEST_VALUE]!r} here",
        path=(*prefix, *location),
        remedy=_place_of(location, known, model)
        or report.suggestions.remedy(name, known) + (_TYPE_FIRST if is_shorthand else ""),
    )


def _place_of(location: Path, known: Collection[str], model: type[BaseModel] | None) -> str:
    """Return how to write a known field that stands at the wrong place, or without a space; empty for other names."""
    name, shown = str(location[-1]), str(location[-1])[:_LONGEST_VALUE]
    key, colon, value = name.partition(":")
    if colon and key in known and value == value.strip() and value:
        return f"write {key}: {value[:_LONGEST_VALUE]}, with a space behind the colon"
    if location[0] == "init_message" and "payload" in known:
        return f"write it under payload: {{{shown}: ...}}"
    if "condition" in known and name in {"field", "operator", "value"}:
        return f"write it under condition: {{{shown}: ...}}"
    if model is None:
        return ""
    meant = _MEANT.get(name, name)
    if meant in known:
        return f"write {meant!r}"
    sections = [section for section in known if meant in fields_at(model, (*location[:-1], section))]
    if len(sections) == 1:
        return f"write it under {sections[0]}: {{{meant[:_LONGEST_VALUE]}: ...}}"
    if len(location) > 1 and name in fields_at(model, ()):
        return f"write it at the top of the file, beside {location[0]}:"
    return ""


def fields_at(model: type[BaseModel], location: Path) -> set[str]:
    """Return the field names that models accept at a place inside a model."""
    kinds: list[Any] = [model]
    for part in location:
        kinds = [inner for kind in kinds for inner in _below(kind, part)]
    return {name for kind in kinds for cls in _models(kind) for name in _names(cls)}


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    for cls in _models(kind, through_containers=False):
        for name, field in cls.model_fields.items():
            if part in {name, field.alias}:
                yield field.annotation
    is_container = get_origin(kind) not in {Union, UnionType}
    for argument in get_args(kind):
        if is_container:
            yield argument
        else:
            yield from _below(argument, part)


def _models(kind: Any, *, through_containers: bool = True) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and not get_args(kind) and issubclass(kind, BaseModel):
        yield kind
    elif through_containers:
        for argument in get_args(kind):
            yield from _models(argument)


def _names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name
