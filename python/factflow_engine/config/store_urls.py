"""Rules of the URLs of stores: a provider can open the object store, and the lineage.

Kept separate from `storage` because these rules ask the providers, and need no models.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from factflow_engine.config.nodes import MappingNode, Path, ScalarNode, has_variables
from factflow_engine.config.report import Report
from factflow_protocols import FactflowError

_CODES: Final = {"storage": ("E208", "object store"), "lineage": ("E210", "lineage store")}


def check_store_urls(root: MappingNode, report: Report, *, imports: bool) -> None:
    """Add findings on stores' URLs; with `imports` False, nothing is imported that is not of this distribution."""
    # Imported late: most configurations name no store.
    for node, url in _urls(root, "storage"):
        from factflow_engine.storages.providers import is_built_in, open_storage  # noqa: PLC0415

        if imports or is_built_in(url):
            _check("storage", node, partial(open_storage, url), report)
        else:
            report.leave_out(node.mark, "the object store", path=("storage", "url"))
    for node, url in _urls(root, "lineage"):
        from factflow_engine.lineage.providers import is_built_in, open_lineage  # noqa: PLC0415

        if imports or is_built_in(url):
            _check("lineage", node, partial(open_lineage, url), report)
        else:
            report.leave_out(node.mark, "the lineage store", path=("lineage", "url"))


def _check(section: str, node: ScalarNode, open_store: Callable[[], object], report: Report) -> None:
    code, noun = _CODES[section]
    path: Path = (section, "url")
    try:
        open_store()
    except FactflowError as error:
        text = f"no {noun} can be opened by this URL" if has_variables(node) else str(error)
        report.add(code, node.mark, text, path=path)


def _urls(root: MappingNode, section: str) -> Iterator[tuple[ScalarNode, str]]:
    """Yield the URL of a section, unless it has none, or one that the models refuse."""
    found = root.mapping(section)
    node = None if found is None else found.get("url")
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value:
        yield node, node.value
