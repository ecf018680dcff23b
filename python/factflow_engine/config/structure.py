"""Conversion of a completed tree into a `PipelineGlobalConfig`, or into findings of the models.

Kept separate from the loader because only this module turns nodes into models.
"""

from typing import Any

from pydantic import ValidationError

from factflow_engine.config.model_errors import STRUCTURE, flip_readings, report_model_errors
from factflow_engine.config.models import PipelineGlobalConfig
from factflow_engine.config.models.base import attach_references
from factflow_engine.config.nodes import START, MappingNode, plain_value, written_references
from factflow_engine.config.report import Report


def build_config(root: MappingNode, report: Report, *, imports: bool = True) -> PipelineGlobalConfig | None:
    """Return the models of a completed document; None, and findings, if they refuse it.

    Defaults of the models need nothing of the tree. Each value that is one reference to the environment may change its
    reading here. Without `imports`, nothing is imported that the document names.
    """
    for attempt in (1, 2):
        data: Any = plain_value(root)
        try:
            config = PipelineGlobalConfig.model_validate(data, context={"imports": imports})
        except ValidationError as error:
            if attempt == 1 and flip_readings(error, root):
                continue
            report_model_errors(
                error, root=root, at=START, prefix=(), model=PipelineGlobalConfig, codes=STRUCTURE, report=report
            )
            return None
        attach_references(config, dict(written_references(root)))
        return config
    return None
