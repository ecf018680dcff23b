"""Rules of the URLs of stores: a provider can open the object store, and the lineage.

Kept separate from `storage` because these rules ask the providers, and need no models.
"""

from collections.abc import Callable
from typing import Final

from factflow_engine.config.nodes import MappingNode, Path, ScalarNode, has_variables
from factflow_engine.config.report import Report
from factflow_protocols import FactflowError

_CODES: Final = {"storage": ("E208", "object store"), "lineage": ("E210", "lineage store")}


def check_store_urls(root: MappingNode, report: Report, *, imports: bool) -> None:
    """Add findings on stores' URLs; with `imports` False, nothing is imported that is not of this distribution."""
    storage, lineage = _url_of(root, "storage"), _url_of(root, "lineage")
    # Imported late: most configurations name no store.
    if storage is not None:
        from factflow_engine.storages import providers as storages  # noqa: PLC0415

        if imports or storages.is_built_in(storage.value):
            _check("storage", storage, storages.open_storage, report)
        else:
            report.leave_out(storage.mark, "the object store", path=("storage", "url"))
    if lineage is not None:
        from factflow_engine.lineage import providers as lineages  # noqa: PLC0415

        if imports or lineages.is_built_in(lineage.value):
            _check("lineage", lineage, lineages.open_lineage, report)
        else:
            report.leave_out(lineage.mark, "the lineage store", path=("lineage", "url"))


def _check(section: str, url: ScalarNode, open_store: Callable[[str], object], report: Report) -> None:
    code, noun = _CODES[section]
    path: Path = (section, "url")
    try:
        open_store(url.value)
    except FactflowError as error:
        text = f"no {noun} can be opened by this URL" if has_variables(url) else str(error)
        report.add(code, url.mark, text, path=path)


def _url_of(root: MappingNode, section: str) -> ScalarNode | None:
    """Return the URL of a section; None if it has none, or one that the models refuse."""
    found = root.mapping(section)
    url = None if found is None else found.get("url")
    return url if isinstance(url, ScalarNode) and isinstance(url.value, str) and url.value else None
