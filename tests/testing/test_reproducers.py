"""Notes of lines that reproduce failing simulations."""

import subprocess
import sys

import pytest

from factflow_engine.testing.simulation import reproducers


@pytest.fixture(autouse=True)
def emptied():
    reproducers.forget()
    yield
    reproducers.forget()


def test_lines_are_kept_in_order_once_each_until_they_are_forgotten():
    for line in ("b", "a", "b"):
        reproducers.note(line)
    assert reproducers.noted() == ["b", "a"]
    reproducers.noted().clear()
    assert reproducers.noted() == ["b", "a"]
    reproducers.forget()
    assert reproducers.noted() == []


def test_the_kit_needs_neither_pytest_nor_hypothesis():
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'pytest', '_pytest', 'hypothesis'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from factflow_engine.testing import *\n"
        "from factflow_protocols import AdapterResult\n"
        "assert run_adapter(lambda context: AdapterResult(message=1)).output == 1\n"
        "assert not {'pytest', 'hypothesis'} & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
