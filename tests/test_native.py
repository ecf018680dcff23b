"""The Rust extension as a whole: where it may be imported, and what a fault of its own becomes."""

import subprocess
import sys

import pytest

import factflow_engine._native
import factflow_engine.native
from factflow_engine._native import panic_on_purpose
from factflow_engine.errors import NativePanicError

IN_ANOTHER = """
import sys
{before}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create()
said = interpreters.run_string(other, '''
for module in ("factflow_engine._native", "factflow_engine.native", "factflow_engine._native"):
    try:
        __import__(module)
        print("imported", module)
    except ImportError as error:
        print(type(error).__name__, error)
''')
assert said is None, said
interpreters.destroy(other)
from factflow_engine.native import pack, unpack
from factflow_engine.frames import Frame
from factflow_protocols import Timestamp
assert unpack(pack([Timestamp(1, 2), {{"a": 1}}])) == [Timestamp(1, 2), {{"a": 1}}]
assert type(unpack(pack([Timestamp(1, 2)]))[0]) is Timestamp
assert Frame.create(b"\\xc0", message_id=bytes(16)).value() is None
"""


@pytest.mark.parametrize("before", ["", "import factflow_engine.native"], ids=["at first", "after the main one"])
def test_a_subinterpreter_is_refused_and_the_main_one_unharmed(before):
    program = [sys.executable, "-c", IN_ANOTHER.format(before=before)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    refusal = (
        "ImportError factflow-engine runs in a process's main interpreter: expected that one, got a subinterpreter"
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(refusal) for line in lines)


def test_a_panic_is_an_exception(capfd):
    with pytest.raises(NativePanicError, match="please report it: so it is") as raised:
        panic_on_purpose("so it is")
    assert raised.value.said == "so it is"
    assert isinstance(raised.value, RuntimeError)
    assert "errors.rs" in capfd.readouterr().err, "where it was is printed"


def test_every_native_name_is_exported():
    assert set(factflow_engine._native.__all__) <= set(vars(factflow_engine.native))
    assert len(factflow_engine._native.__all__) > 30
