"""The checks run in a program of its own, on a machine without pytest and hypothesis."""

import subprocess
import sys

PROGRAM = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pytest", "_pytest", "hypothesis"}:
            raise ImportError(name)


sys.meta_path.insert(0, Missing())

from factflow_engine import open_lineage, open_queue, open_storage
from factflow_engine.testing import check_adapter, check_lineage_sink, check_queue_provider, check_storage_provider

for report in (
    check_adapter("count_by_field", config={"field": "n"}, messages=[{"n": 1}, {"n": 2}]),
    check_queue_provider(lambda folder: open_queue("memory://"), virtual=True),
    check_storage_provider(lambda folder: open_storage("memory://"), only="what_is_written_is_read"),
    check_lineage_sink(lambda folder: open_lineage(f"sqlite:///{folder}/lineage"), only="children_are_found"),
):
    report.raise_if_failed()
    print(str(report).partition(":")[0])
"""


def test_all_four_run():
    ran = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["count_by_field", "MemoryQueue", "MemoryStorage", "SqliteLineage"]
