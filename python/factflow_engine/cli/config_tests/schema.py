"""Schema of files of tests, for `factflow config schema --tests`.

Kept separate from that command, which imports the testing kit only if it is asked for this.
"""

from typing import Any

from factflow_engine.testing.config_tests.schema import tests_schema


def schema_of_tests() -> dict[str, Any]:
    """Return the JSON Schema of files of tests."""
    return tests_schema()
