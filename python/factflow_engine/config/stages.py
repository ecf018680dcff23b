"""Checks of adapters and conditions with the registry and the compiler that an execution will use.

Kept separate because these checks validate by building, which keeps the validator and the engine consistent.
"""

from typing import Final

from pydantic import BaseModel, ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.isolation import isolation_fault, place_of
from factflow_engine.adapters.keeping import loses_state, loss_text
from factflow_engine.conditions import OperatorRegistry, shared_patterns
from factflow_engine.config.condition_errors import check_conditions
from factflow_engine.config.model_errors import codes_of_adapter, flip_readings, report_model_errors
from factflow_engine.config.models import AdapterConfig
from factflow_engine.config.nodes import (
    MappingNode,
    Mark,
    Node,
    Path,
    has_variables,
    key_mark,
    locate,
    plain_value,
)
from factflow_engine.config.report import Report

_LONGEST_TYPE: Final = 80
_OWN_ADAPTER: Final = (
    "name the module of an adapter of your own, `factflow ... --adapters FILE.py`, or register it in the program"
)


def check_stages(
    root: MappingNode,
    *,
    registry: ValidatingAdapterRegistry,
    operators: OperatorRegistry | None,
    report: Report,
    durable: bool,
    imports: bool,
) -> None:
    """Add findings on adapter types, their configurations, and every condition of a completed document.

    `durable` is True if the document will run on a queue that outlives the process; with `imports` False, nothing is
    imported that the document names.
    """
    routes = root.mapping("routes")
    # One budget, in the order of a starting execution.
    with shared_patterns():
        for route_id, (_, route) in routes.entries.items() if routes is not None else ():
            if not isinstance(route, MappingNode):
                continue
            for index, stage in enumerate(route.items("adapters")):
                if isinstance(stage, MappingNode):
                    path: Path = ("routes", route_id, "adapters", index)
                    _check_adapter(stage, path, registry, report, imports=imports)
                    _check_isolation(stage, path, registry, report)
                    if durable:
                        _check_state(stage, path, registry, report)
                    check_conditions([(stage, path)], operators, report)
            outbounds = [
                (outbound, ("routes", route_id, "outbound", index))
                for index, outbound in enumerate(route.items("outbound"))
                if isinstance(outbound, MappingNode)
            ]
            check_conditions(outbounds, operators, report)


def _check_adapter(
    stage: MappingNode, path: Path, registry: ValidatingAdapterRegistry, report: Report, *, imports: bool
) -> None:
    kind = stage.text("type")
    if kind is None:
        return
    node = locate(stage, ("type",))[1]
    if kind not in registry and not imports:
        report.leave_out(node.mark, f"adapter type {repr(kind)[:_LONGEST_TYPE]}", path=(*path, "type"))
        return
    if kind not in registry:
        _report_unknown_type(kind, node, (*path, "type"), registry, report)
        return
    _check_misplaced(kind, stage, path, registry, report)
    config = stage.get("config")
    at = stage.mark if config is None else key_mark(stage, ("config",))
    if config is None:
        config = MappingNode(stage.mark, {})
    if isinstance(config, MappingNode):
        _check_adapter_config(kind, config, at, (*path, "config"), registry, report, imports=imports)


def _check_state(stage: MappingNode, path: Path, registry: ValidatingAdapterRegistry, report: Report) -> None:
    kind = stage.text("type")
    if kind is not None and kind in registry and loses_state(registry.get(kind).adapter_class):
        report.add("E306", locate(stage, ("type",))[1].mark, loss_text(kind), path=(*path, "type"))


def _check_isolation(stage: MappingNode, path: Path, registry: ValidatingAdapterRegistry, report: Report) -> None:
    kind, isolation = stage.text("type"), stage.text("isolation")
    if kind is None or kind not in registry or isolation not in {None, "thread", "process"}:
        return
    spec = registry.get(kind)
    fault = isolation_fault(spec, isolation)
    if fault is not None:
        place = ("type",) if isolation is None else ("isolation",)
        text, remedy = fault
        report.add("E307", locate(stage, place)[1].mark, text, path=(*path, *place), remedy=remedy)
    elif place_of(spec.adapter_class, isolation) != "process":
        for name in ("processes", "max_messages_per_process"):
            if stage.get(name) is not None:
                text = f"{name} has no effect without isolation: process"
                report.add("W501", key_mark(stage, (name,)), text, path=(*path, name))


def _check_misplaced(
    kind: str, stage: MappingNode, path: Path, registry: ValidatingAdapterRegistry, report: Report
) -> None:
    """Report fields of the adapter's config that stand beside `config:`; the models then find them unknown, too."""
    model: type[BaseModel] | None = registry.get(kind).config_model
    if model is None:
        return
    for name in stage.entries:
        if name in model.model_fields and name not in AdapterConfig.model_fields:
            text = f"there is no field {name!r} here"
            remedy = f"write it under config: {{{name}: ...}}"
            report.add("E101", key_mark(stage, (name,)), text, path=(*path, name), remedy=remedy)


def _report_unknown_type(
    kind: str, node: Node, path: Path, registry: ValidatingAdapterRegistry, report: Report
) -> None:
    if has_variables(node):
        report.add("E103", node.mark, "no adapter type of that name is registered", path=path)
        return
    text = f"no adapter type {kind[:_LONGEST_TYPE]!r} is registered"
    absence = registry.why_absent(kind)
    if absence is not None:
        problem, remedy = absence
        report.add("E103", node.mark, f"{text}: {problem}", path=path, remedy=remedy)
        return
    remedy = report.suggestions.remedy(kind, registry.types())
    if not remedy.startswith("write "):
        remedy += f"; {_OWN_ADAPTER}"
    report.add("E103", node.mark, text, path=path, remedy=remedy)


def _check_adapter_config(
    kind: str,
    config: MappingNode,
    at: Mark,
    path: Path,
    registry: ValidatingAdapterRegistry,
    report: Report,
    *,
    imports: bool,
) -> None:
    model: type[BaseModel] | None = registry.get(kind).config_model
    codes = codes_of_adapter(kind)
    for attempt in (1, 2):
        skipped: list[str] | None = None if imports else []
        try:
            registry.validate_config(kind, plain_value(config), skipped=skipped)
        except ValidationError as error:
            if attempt == 1 and flip_readings(error, config):
                continue
            report_model_errors(error, root=config, at=at, prefix=path, model=model, codes=codes, report=report)
        except Exception as error:  # noqa: BLE001 - a validator of the adapter's author may raise anything
            shown = "" if has_variables(config) else f": {error}"
            text = f"adapter type {kind!r} failed on this configuration with {type(error).__name__}{shown}"
            report.add("E303", at, text[:300], path=path, remedy=codes.remedy)
        for name in skipped or ():
            report.leave_out(at, "a function" if has_variables(config) else f"function {name!r}", path=path)
        return
