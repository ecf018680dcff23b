"""A type that an installed plug-in names, and that is not registered, is an error that says why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry, auto_discover_and_register
from factflow_engine.config import Finding, PipelineConfigLoader
from factflow_engine.errors import AdapterNotFoundError
from support.distributions import Site, open_site

MODULE = """
from factflow_protocols import AdapterResult, PipelineAdapter

class Shout(PipelineAdapter):
    async def process(self, context): return AdapterResult.forward()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with open_site(tmp_path, monkeypatch) as made:
        yield made


def finding(registry: ValidatingAdapterRegistry, type_name: str = "shout_plug") -> Finding:
    text = f'version: "1.0"\nroutes: {{r: {{adapters: [{{type: {type_name}}}]}}}}\n'
    (found,) = PipelineConfigLoader(registry).check_text(text).errors
    assert found.code == "E103"
    return found


def test_a_program_that_did_not_search_is_told_to(site: Site) -> None:
    site.module("shouting_a.py", MODULE)
    site.distribution("acme-shout", shout_plug="shouting_a:Shout")
    registry = ValidatingAdapterRegistry()
    found = finding(registry)
    assert "shout_plug = shouting_a:Shout of acme-shout" in found.message
    assert found.remedy == "call auto_discover_and_register(registry) before the configuration is loaded"
    with pytest.raises(AdapterNotFoundError, match="has not searched for plug-ins"):
        registry.get("shout_plug")
    auto_discover_and_register(registry)
    assert registry.get("shout_plug").adapter_class.__name__ == "Shout"


def test_a_plug_in_that_failed_is_the_reason_that_its_type_is_unknown(site: Site) -> None:
    site.module("shouting_b.py", "\nraise RuntimeError('no licence')\n")
    site.distribution("acme-shout", shout_plug="shouting_b:Shout")
    registry = ValidatingAdapterRegistry()
    auto_discover_and_register(registry)
    found = finding(registry)
    assert "its plug-in could not be used" in found.message
    assert "RuntimeError: no licence" in found.message
    assert f"{site.folder / 'shouting_b.py'}:2" in found.message


def test_a_plug_in_that_lacks_its_extra_names_the_extra(site: Site) -> None:
    site.module("shouting_c.py", "import no_such_package_anywhere\n")
    site.distribution("acme-shout", shout_plug="shouting_c:Shout [loud]")
    registry = ValidatingAdapterRegistry()
    (problem,) = auto_discover_and_register(registry).problems
    assert problem.code == "E309"
    assert problem.remedy == finding(registry).remedy
    assert "pip install 'acme-shout[loud]'" in problem.remedy


def test_a_type_that_nobody_offers_is_told_how_adapters_are_named() -> None:
    found = finding(ValidatingAdapterRegistry(), "qqq")
    assert "--adapters FILE.py" in found.remedy
    assert "register it in the program" in found.remedy
