import importlib
import sys

import pytest

from factflow_engine.adapters import AdapterDiscovery, ValidatingAdapterRegistry, auto_discover_and_register
from support.distributions import open_site

ADAPTER = """
from typing import ClassVar
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext

class {name}(PipelineAdapter):
    adapter_type: ClassVar[str] = "{type}"

    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult.forward()
"""


def adapter(name: str, type_name: str) -> str:
    return ADAPTER.format(name=name, type=type_name)


@pytest.fixture
def site(tmp_path, monkeypatch):
    with open_site(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def registry():
    return ValidatingAdapterRegistry.empty()


def test_an_entry_point_names_a_class(site, registry):
    site.module("plug_a.py", adapter("Shout", "ignored"))
    site.distribution("plug-a", shout="plug_a:Shout")
    report = auto_discover_and_register(registry)
    assert (report.registered, report.problems) == (("shout",), ())
    assert registry.get("shout").adapter_class.__module__ == "plug_a"


def test_an_entry_point_names_a_function_that_registers(site, registry):
    source = (
        adapter("A", "x")
        + "\ndef register(registry):\n    registry.register('one', A)\n    registry.register('two', A)\n"
    )
    site.module("plug_b.py", source)
    site.distribution("plug-b", anything="plug_b:register")
    assert auto_discover_and_register(registry).registered == ("one", "two")


def test_every_broken_plugin_is_reported_and_stops_no_other(site, registry):
    site.module("plug_good.py", adapter("Good", "good"))
    site.module("plug_syntax.py", "def broken(:\n")
    site.module("plug_raises.py", "raise RuntimeError('no licence')")
    site.module("plug_exits.py", "import sys; sys.exit('bye')")
    site.module("plug_wrong.py", "class NotAnAdapter: pass\nvalue = 3\n")
    site.distribution(
        "plug-many",
        a_syntax="plug_syntax:X",
        b_raises="plug_raises:X",
        c_exits="plug_exits:X",
        d_wrong="plug_wrong:NotAnAdapter",
        e_value="plug_wrong:value",
        f_gone="plug_gone:X",
        g_attribute="plug_good:Missing",
        good="plug_good:Good",
    )
    report = auto_discover_and_register(registry)
    assert report.registered == ("good",)
    assert [(problem.source, problem.code) for problem in report.problems] == [
        ("entry point a_syntax = plug_syntax:X of plug-many", "E308"),
        ("entry point b_raises = plug_raises:X of plug-many", "E308"),
        ("entry point c_exits = plug_exits:X of plug-many", "E308"),
        ("entry point d_wrong = plug_wrong:NotAnAdapter of plug-many", "E311"),
        ("entry point e_value = plug_wrong:value of plug-many", "E311"),
        ("entry point f_gone = plug_gone:X of plug-many", "E309"),
        ("entry point g_attribute = plug_good:Missing of plug-many", "E308"),
    ]
    assert "no licence" in report.problems[1].error


def test_two_plugins_of_one_name_are_a_problem_of_the_second(site, registry):
    site.module("plug_c.py", adapter("C", "x"))
    site.module("plug_d.py", adapter("D", "x"))
    site.distribution("plug-c", same="plug_c:C")
    site.distribution("plug-d", same="plug_d:D")
    report = auto_discover_and_register(registry)
    assert report.registered == ("same",)
    assert [problem.source for problem in report.problems] == ["entry point same = plug_d:D of plug-d"]


def test_searching_twice_changes_nothing(site, registry):
    site.module("plug_e.py", adapter("E", "e"))
    site.distribution("plug-e", e="plug_e:E")
    auto_discover_and_register(registry)
    again = auto_discover_and_register(registry)
    assert (again.registered, again.problems) == ((), ())


def test_another_group_is_another_world(site, registry):
    site.module("plug_f.py", adapter("F", "f"))
    site.distribution("plug-f", f="plug_f:F")
    assert auto_discover_and_register(registry, group="somebody.else").registered == ()


def test_a_package_is_scanned_to_its_last_module(site, registry):
    site.module("pack/__init__.py", adapter("Root", "root"))
    site.module("pack/one.py", adapter("One", "one"))
    site.module("pack/deep/__init__.py", "")
    site.module("pack/deep/two.py", adapter("Two", "two"))
    site.module("packaged_elsewhere.py", adapter("Elsewhere", "elsewhere"))
    report = AdapterDiscovery(registry).scan("pack")
    assert (report.registered, report.problems) == (("one", "root", "two"), ())
    assert "packaged_elsewhere" not in sys.modules


def test_scanning_reports_a_broken_module_and_goes_on(site, registry):
    site.module("packb/__init__.py", "")
    site.module("packb/a_broken.py", "import no_such_module_anywhere")
    site.module("packb/b_broken_package/__init__.py", "1/0")
    site.module("packb/b_broken_package/inner.py", adapter("Inner", "inner"))
    site.module("packb/c_good.py", adapter("Good", "good"))
    site.module("packb/d_refused.py", adapter("Refused", "Not-A-Name"))
    report = AdapterDiscovery(registry).scan("packb")
    assert report.registered == ("good",)
    assert [(problem.source, problem.code) for problem in report.problems] == [
        ("module packb.a_broken", "E309"),
        ("module packb.b_broken_package", "E308"),
        ("class Refused in module packb.d_refused", "E311"),
    ]


def test_a_package_that_does_not_import_is_one_problem(registry):
    report = AdapterDiscovery(registry).scan("no_such_package_anywhere")
    assert [problem.source for problem in report.problems] == ["module no_such_package_anywhere"]


def test_a_program_is_not_run_by_scanning(site, registry):
    site.module("packc/__init__.py", "")
    site.module("packc/__main__.py", "raise AssertionError('the program ran')")
    assert AdapterDiscovery(registry).scan("packc").problems == ()


def test_only_a_class_marked_itself_is_taken_and_only_where_it_is_defined(site, registry):
    site.module("packd/__init__.py", "from packd.base import Base")
    site.module(
        "packd/base.py",
        adapter("Base", "base") + "\nclass Derived(Base):\n    pass\n\nAlias = Base\n",
    )
    report = AdapterDiscovery(registry).scan("packd")
    assert (report.registered, report.problems) == (("base",), ())


def test_a_module_object_can_be_scanned(site, registry):
    site.module("single.py", adapter("Single", "single"))
    assert AdapterDiscovery(registry).scan(importlib.import_module("single")).registered == ("single",)


def test_a_file_is_loaded_without_being_on_the_import_path(tmp_path, registry):
    file = tmp_path / "my-adapters.py"
    file.write_text(adapter("FromFile", "from_file"))
    report = AdapterDiscovery(registry).from_file(file)
    assert (report.registered, report.problems) == (("from_file",), ())
    assert str(tmp_path) not in sys.path


def test_a_broken_file_is_reported_and_can_be_corrected(tmp_path, registry):
    file = tmp_path / "adapters.py"
    file.write_text("raise ValueError('half written')")
    discovery = AdapterDiscovery(registry)
    assert "half written" in discovery.from_file(file).problems[0].error
    file.write_text(adapter("Whole", "whole"))
    assert discovery.from_file(file).registered == ("whole",)


@pytest.mark.parametrize("name", ["missing.py", "notes.txt"])
def test_what_is_no_python_file_is_reported(tmp_path, registry, name):
    (tmp_path / "notes.txt").write_text("not python")
    report = AdapterDiscovery(registry).from_file(tmp_path / name)
    assert [problem.source for problem in report.problems] == [f"file {tmp_path / name}"]
