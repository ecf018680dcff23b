"""Strategies for hypothesis: configurations, right and wrong ones, conditions, messages, inputs, and plans of faults.

Kept separate from the rest of the kit because it alone needs hypothesis (`factflow-engine[testing]`).

What is drawn is built to be as it should, not drawn and thrown away, and shrinks to the plainest. No strategy draws the
seed of a run: a seed has no order in which a smaller one is simpler, and hypothesis would change it while it shrinks the
rest, so that a failure comes and goes. Give a run a fixed seed, or explore seeds outside of hypothesis.
"""

try:
    import hypothesis as _hypothesis
except ImportError as error:
    raise ImportError(
        'factflow_engine.testing.strategies needs hypothesis; install it with pip install "factflow-engine[testing]"'
    ) from error

from factflow_engine.testing.strategies.conditions import conditions, payloads_matching, payloads_not_matching
from factflow_engine.testing.strategies.configs import configs, loaded_configs
from factflow_engine.testing.strategies.errors import StrategyError, UnsupportedSchemaError
from factflow_engine.testing.strategies.examples import registry_of_examples
from factflow_engine.testing.strategies.fault_plans import DEFAULT_KINDS, MEMORY_KINDS, fault_plans
from factflow_engine.testing.strategies.features import FEATURES
from factflow_engine.testing.strategies.inputs import inputs
from factflow_engine.testing.strategies.invalid import INVALID_CODES, InvalidConfig, invalid_configs
from factflow_engine.testing.strategies.messages import messages
from factflow_engine.testing.strategies.text import ConfigText

del _hypothesis

__all__ = [
    "DEFAULT_KINDS",
    "FEATURES",
    "INVALID_CODES",
    "MEMORY_KINDS",
    "ConfigText",
    "InvalidConfig",
    "StrategyError",
    "UnsupportedSchemaError",
    "conditions",
    "configs",
    "fault_plans",
    "inputs",
    "invalid_configs",
    "loaded_configs",
    "messages",
    "payloads_matching",
    "payloads_not_matching",
    "registry_of_examples",
]
