"""Conditions on messages: compiled once to Rust, evaluated on a message's bytes.

`compilation` is the entry point, `operators` is for authors of custom operators, `codes` explains every load-time
error.
"""

from factflow_engine.conditions.codes import CODES
from factflow_engine.conditions.compilation import compile_condition, outbound_table, shared_patterns
from factflow_engine.conditions.operators import ConditionOperator, OperatorRegistry
from factflow_engine.native import Condition, RouteTable, RouteTableStatistics

__all__ = [
    "CODES",
    "Condition",
    "ConditionOperator",
    "OperatorRegistry",
    "RouteTable",
    "RouteTableStatistics",
    "compile_condition",
    "outbound_table",
    "shared_patterns",
]
