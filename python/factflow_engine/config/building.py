"""Construction of a configuration from its text, step by step.

Parses, resolves the environment, completes, builds models, and checks against the registry, the condition compiler and
the queue provider's naming rules. Each step reports all its findings; only unreadable text stops the next one. Kept
separate from the loader because it needs the YAML parser and the models, which take longer to import than the rest of
the engine.
"""

from collections.abc import Iterable, Mapping

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config.completion import complete
from factflow_engine.config.findings import Finding
from factflow_engine.config.interpolation import interpolate
from factflow_engine.config.limits import check_groups, check_limits
from factflow_engine.config.models import PipelineGlobalConfig
from factflow_engine.config.nodes import START, MappingNode, Node, Path, ScalarNode, literal, locate
from factflow_engine.config.report import Report
from factflow_engine.config.size import is_bounded
from factflow_engine.config.stages import check_stages
from factflow_engine.config.storage import check_stored
from factflow_engine.config.store_urls import check_store_urls
from factflow_engine.config.structure import build_config
from factflow_engine.config.text import Source
from factflow_engine.config.warnings import check_meaning
from factflow_engine.config.wiring import QueueNameCheck, check_wiring, report_queue_name
from factflow_engine.config.yaml import parse


def build(
    source: Source,
    report: Report,
    *,
    registry: ValidatingAdapterRegistry,
    operators: OperatorRegistry | None,
    validate_queue_name: QueueNameCheck,
    environ: Mapping[str, str],
    durable: bool,
    imports: bool,
) -> PipelineGlobalConfig | None:
    """Build the configuration of a text; None if that is impossible. Problems go into the report."""
    tree = parse(source.text, report)
    if tree is None:
        return None
    if not isinstance(tree, MappingNode):
        report.add("E104", START, 'expected a mapping of fields, such as version: "1.0" and routes:')
        return None
    interpolate(tree, environ, report)
    root = complete(tree)
    if not is_bounded(root, len(source.text), report):
        return None
    # Adapters first: the models then get the reading of a value that suits its adapter.
    check_stages(root, registry=registry, operators=operators, report=report, durable=durable, imports=imports)
    config = build_config(root, report, imports=imports)
    check_limits(root, report, imports=imports)
    check_wiring(root, validate_queue_name=validate_queue_name, report=report)
    check_store_urls(root, report, imports=imports)
    if config is None:
        return None
    check_groups(config, root, report)
    if not report.has_errors:
        check_meaning(config, root, report)
        check_stored(config, root, registry, report)
    return config.located(source, report.secrets)


def queue_name_findings(config: PipelineGlobalConfig, refused: Iterable[tuple[Path, str, str]]) -> tuple[Finding, ...]:
    """Return a finding for each queue name that a provider refuses, at the place where it is written.

    Args:
        config: A configuration that was built.
        refused: Path and value of each refused name, and the reason.
    """
    report = Report(config.file)
    tree = parse(config.source, Report(config.file)) if config.source else None
    root: Node = complete(tree) if isinstance(tree, MappingNode) else literal("", START)
    for path, name, problem in refused:
        mark, node, _ = locate(root, path)
        if not isinstance(node, ScalarNode) or root is node:
            node = literal(name, mark)
        elif node.value != name:
            node.variables = (node.text,)  # from the environment: the tree has the written text
        report_queue_name(node, path, problem, report)
    return report.findings()
