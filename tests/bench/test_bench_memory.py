"""The measures of memory show what they are for: a program that holds more, and nothing of whoever has started it."""

import json
import subprocess
import sys

from bench.suites.scale import emission

from support.doc_pages import ROOT

PEAK = (
    "from bench.programs.memory import peak, resident; import json; now = resident(); print(json.dumps([peak(), now]))"
)


def figures(program: str) -> tuple[float, float]:
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peak, resident = json.loads(ran.stdout)
    return peak, resident


def test_the_peak_of_a_child_is_its_own_however_large_its_parent() -> None:
    parent = bytearray(b"x") * 300_000_000
    peak, resident = figures(PEAK)
    assert len(parent) == 300_000_000
    assert resident <= peak < 100


def test_the_peak_remembers_what_was_given_back() -> None:
    peak, resident = figures(f"held = bytearray(b'x') * 200_000_000; del held\n{PEAK}")
    assert peak > 190 > 100 > resident


def test_emitting_lazily_holds_no_more_and_a_list_of_them_does() -> None:
    lazily, as_list = emission("lazily", 50_000, 500)(), emission("list", 50_000, 500)()
    assert lazily["growth"] < 3
    assert as_list["growth"] > 8
