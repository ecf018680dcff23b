"""Every code of the catalogue has a text that gives it, at a known line and column."""

import dataclasses
from pathlib import Path

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.app import AdapterModuleError, build_app
from factflow_engine.conditions import CODES as CONDITION_CODES
from factflow_engine.config import CATALOGUE, PipelineConfigLoader, Severity
from factflow_engine.config.codes import FAMILIES
from support.distributions import open_site


@dataclasses.dataclass(frozen=True)
class Case:
    """A text, the only code it gives, and where.

    `>>>` in the text marks the place; it is taken out before loading.
    """

    code: str
    text: str | bytes
    at: tuple[int, int] = (0, 0)
    durable: bool = False
    built_in: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.text, str) and ">>>" in self.text:
            before, _, after = self.text.partition(">>>")
            object.__setattr__(self, "text", before + after)
            line = before.count("\n") + 1
            object.__setattr__(self, "at", (line, len(before) - (before.rfind("\n") + 1) + 1))


def document(route: str = "", top: str = "", other: str = "") -> str:
    """A valid document with lines added to its first route, to its top, and further routes."""
    text = 'version: "1.0"\nroutes:\n  parse:\n    adapters: [{type: plain}]\n'
    if "adapters:" in route:
        text = text.replace("    adapters: [{type: plain}]\n", "")
    text += "".join(f"    {line}\n" for line in route.splitlines())
    text += "".join(f"  {line}\n" for line in other.splitlines())
    return text + top + ("\n" if top else "")


def condition(text: str) -> str:
    return document(f"outbound: [{{queue: /topic/a, condition: {text}}}]")


SINK = "sink: {adapters: [{type: plain}]}"

CASES = [
    Case("E001", "routes: >>>]"),
    Case("E001", document(top="name: {a: $>>>{X}}")),
    Case("E002", document(top=">>>version: x")),
    Case("E003", ">>>" + "# " + "x" * 1_100_000 + "\n"),
    Case("E004", "a: " + "[" * 63 + ">>>[" + "]" * 64),
    Case("E005", "a: &a [" + "1," * 999 + "]\nb: &b [" + "*a," * 40 + "]\nc: [*b, >>>*b]\n"),
    Case("E005", document(top="name: &long " + "x" * 200_000 + "\ninit_message: {route: parse, payload: [>>>" + ", ".join(["*long"] * 100) + "]}").replace("payload: [>>>", "payload: [").replace("&long", ">>>&long")),
    Case("E006", 'version: >>>"2.0"\nroutes: {a: {adapters: [{type: plain}]}}\n'),
    Case("E006", "version: >>>1.0\nroutes: {a: {adapters: [{type: plain}]}}\n"),
    Case("E007", document(top="name: >>>x${NOT_DEFINED}")),
    Case("E008", b"version: \xff\n", (1, 10)),
    Case("E009", ">>>\ufeff" + document()),
    Case("E010", "routes:\n>>>\ta: 1\n"),
    Case("E011", document(top="name: >>>!!python/name:os.system x")),
    Case("E011", document(top="name: >>>!secret x")),
    Case("E011", document(top="name: >>>!!int x")),
    Case("E012", document() + ">>>---\na: 1\n"),
    Case("E013", document(">>><<: {name: x}")),
    Case("E014", document(top="name: >>>*nowhere")),
    Case("E014", "a: &a [>>>*a]\n"),
    Case("E015", document(top="init_message: {route: parse, payload: {>>>1: x}}")),
    Case("E015", document(top="? >>>[a]\n: b")),
    Case("E016", "no/such/file.yaml", (1, 1)),
    Case("E017", ">>># nothing\n"),
    Case("E018", document(top="name: x>>>\x07")),
    Case("E019", document(top="name: >>>${9}")),
    Case("E020", document(top="init_message: {route: parse, payload: >>>" + "9" * 401 + "}")),
    Case("E021", document(top='name: >>>"' + "${LARGE}" * 80 + '"')),
    Case("E101", document(">>>nmae: x")),
    Case("E102", "version: '1.0'\n", (1, 1)),
    Case("E102", document(top="init_message: [>>>{route: parse}]")),
    Case("E103", document("adapters: [{type: >>>plian}]")),
    Case("E104", document("inbound: {concurrency: >>>'8'}")),
    Case("E104", document("description: >>>true")),
    Case("E104", document("outbound: >>>{route: parse}")),
    Case("E104", ">>>[1]\n"),
    Case("E105", document("outbound_mode: >>>some")),
    Case("E106", document(other=">>>a b: {adapters: [{type: plain}]}")),
    Case("E106", document("adapters: [{type: plain, name: >>>a/b}]")),
    Case("E107", document("adapters: [{type: plain, name: a}, {type: other, name: >>>a}]")),
    Case("E108", document("adapters: [{type: plain}, {type: >>>plain}]")),
    Case("E109", 'version: "1.0"\nroutes: >>>{}\n'),
    Case("E201", document(top="init_message: {route: >>>prase, payload: 1}")),
    Case("E202", document("outbound: [{route: >>>prase}]")),
    Case("E203", document("outbound: [>>>{condition: {field: a, operator: exists}}]")),
    Case("E203", document("outbound: [{route: >>>null}]")),
    Case("E203", document("outbound: [{route: parse, queue: >>>/topic/a}]")),
    Case("E204", document("inbound: {queue: >>>parse.in}")),
    Case("E204", document("outbound: [{queue: >>>'/queue/a b'}]")),
    Case("E204", document(top="error_handling: {dead_letter_queue: >>>dlq}")),
    Case("E205", document(top="init_message: {route: parse, payload: >>>18446744073709551616}")),
    Case("E206", document("unrouted: >>>dead_letter\noutbound: [{queue: /topic/a}]")),
    Case("E207", document("error_handling: {dead_letter_queue: >>>/topic/dead}")),
    Case("E207", document(top="error_handling: {dead_letter_queue: >>>/topic/dead}")),
    Case("E208", document(top="storage: {url: >>>'gopher://host'}")),
    Case("E209", document("adapters: [{type: store_object, store: >>>{what: input}}]"), built_in=True),
    Case("E210", document(top="lineage: {mode: full, url: >>>'gopher://host'}")),
    Case("E210", document(top="lineage: {mode: full, url: >>>'sqlite:///lineage?retention=1'}")),
    Case("E301", document("adapters: [{type: probe, config: {url: x, >>>prot: 1}}]")),
    Case("E301", document("adapters: [{type: plain, config: {>>>x: 1}}]")),
    Case("E302", document("adapters: [{type: probe, >>>config: {port: 1}}]")),
    Case("E302", document("adapters: [>>>{type: probe}]")),
    Case("E303", document("adapters: [{type: probe, config: {url: x, port: >>>0}}]")),
    Case("E303", document("adapters: [{type: probe, config: {url: x, limits: >>>{low: 11}}}]")),
    Case("E303", document("adapters: [{type: probe, config: {url: x, tags: [a, >>>[b]]}}]")),
    Case("E303", document("adapters: [{type: probe, >>>config: {url: x, secret: explode}}]")),
    Case("E306", document("adapters: [{type: >>>keeps}]"), durable=True),
    Case("E307", document("adapters: [{type: plain, isolation: >>>process}]")),
    Case("E307", document("adapters: [{type: plain, isolation: >>>thread}]")),
    Case("E307", document("adapters: [{type: keeps, isolation: >>>process}]")),
    Case("W501", document("adapters: [{type: plain, >>>processes: 2}]")),
    Case("E401", condition("{field: a, operator: >>>equals, value: 1}")),
    Case("E402", condition("{field: a, operator: gt, value: >>>true}")),
    Case("E403", condition("{field: a, operator: matches, value: >>>'(?=a)'}")),
    Case("E404", condition("{field: >>>a..b, operator: exists}")),
    Case("E404", document("adapters: [{type: plain, circuit_breaker: {key: >>>'hosts[*]'}}]")),
    Case("E404", document("circuit_breaker: {key: >>>a..b}")),
    Case("E405", condition("{field: a, operator: exists, >>>vlaue: true}")),
    Case("E406", condition("{all_of: [>>>{field: a, operator: eq}]}")),
    Case("E407", condition("{all_of: >>>[]}")),
    Case("E408", condition("{any_of: [&b {all_of: [&c {field: a, operator: exists}" + ", *c" * 99 + "]}" + ", *b" * 100 + "]}").replace("[&c ", "[>>>&c ")),
    Case("E409", condition("{all_of: [>>>5]}")),
    Case("E410", condition("{field: a, operator: eq, value: {$bin: >>>'!'}}")),
    Case("E411", condition("{field: a, operator: between, value: >>>[2, 1]}")),
    Case("E412", condition("{field: a, operator: cidr, value: >>>10.0.0.1/8}")),
    Case("E413", condition("{field: a, operator: divisible_by, value: >>>0}")),
    Case("E501", document("error_handling: {max_retries: >>>-1}")),
    Case("E501", document("inbound: {concurrency: >>>0}")),
    Case("E501", document("adapters: [{type: plain, timeout_seconds: >>>.inf}]")),
    Case("E502", document("backpressure: {min_concurrency: >>>5, max_concurrency: 4}")),
    Case("E502", document("error_handling: {max_retries: 1, retry_on: [A], give_up_on: >>>[A]}")),
    Case("E503", document("backpressure: {algorithm: >>>magic}")),
    Case("E504", document("backpressure: {algorithm: aimd, parameters: {backoff: >>>0.1}}")),
    Case("E504", document("backpressure: {algorithm: aimd, parameters: {>>>backof: 0.9}}")),
    Case("E505", document("adapters: [{type: plain, backpressure: {group: g}}, {type: plain, name: b, backpressure: {group: >>>g, max_concurrency: 3}}]")),
    Case("E506", document("backpressure: {algorithm: fixed, group: g}\nadapters: [{type: plain, backpressure: {algorithm: fixed, group: >>>g}}]")),
    Case("E507", document("backpressure: {algorithm: fixed, >>>key: host}")),
    Case("W501", document(top=">>>storage: {url: 'memory://'}")),
    Case("W501", document(top=">>>storage: {url: 'memory://'}")),
    Case("W001", document(top="name: >>>&x name")),
    Case("W002", document(top='name: >>>"${NOT_DEFINED:-x}"')),
    Case("W101", 'version: "1.0"\nroutes: {>>>parse: {}}\n'),
    Case("W201", document(other=">>>" + SINK, top="init_message: {route: parse, payload: 1}")),
    Case("E203", document("outbound: [{route: parse, external: >>>true}]")),
    Case("W202", document("outbound: [{queue: >>>/queue/nobody}]")),
    Case("W203", document("outbound: [>>>{route: parse}]", other=SINK, top="init_message: [{route: parse, payload: 1}, {route: sink, payload: 1}]")),
    Case("W204", document("error_handling: {dead_letter_queue: >>>/queue/parse}")),
    Case("W205", document(other="sink: {adapters: [{type: plain}], inbound: {queue: >>>/queue/parse}}")),
    Case("W206", document("outbound_mode: first\noutbound: [{queue: /topic/a}, >>>{queue: /topic/b}]")),
    Case("W501", document("backpressure: {algorithm: fixed, >>>target_latency_ms: 5}")),
    Case("W502", document("backpressure: {algorithm: fixed, >>>initial_concurrency: 9}\ninbound: {concurrency: 4}")),
    Case("W501", document("error_handling: {>>>backoff: fixed}")),
    Case("W502", document("inbound: {>>>concurrency: 50, prefetch: 5}")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_text_gives_its_code_at_its_place(
    case: Case, loader: PipelineConfigLoader, registry: ValidatingAdapterRegistry
) -> None:
    if case.durable:
        assert loader.check_text(case.text).findings == ()
        loader = PipelineConfigLoader(registry, durable=True)
    if case.built_in:
        loader = PipelineConfigLoader(ValidatingAdapterRegistry())
    result = loader.check(case.text) if case.code == "E016" else loader.check_text(case.text)
    found = [(finding.code, finding.line, finding.column) for finding in result.findings]
    assert found == [(case.code, *case.at)], result.render()
    (finding,) = result.findings
    assert finding.severity is CATALOGUE[case.code].severity
    assert finding.message
    assert finding.remedy
    assert result.is_valid is (finding.severity is Severity.WARNING)


OF_MODULES = {
    "E308": "1/0\n",
    "E309": "import no_such_package_anywhere\n",
    "E310": "import trio\ntrio.run(print)\n",
    "E311": "nothing = 0\n",
}
"""Codes that findings on modules have, and what such a module holds."""


@pytest.mark.parametrize("code", OF_MODULES)
def test_a_module_gives_its_code(code: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(OF_MODULES[code])
    with pytest.raises(AdapterModuleError) as caught:
        build_app(adapters=[str(module)])
    (finding,) = caught.value.findings
    assert (finding.code, finding.file, finding.severity) == (code, str(module), Severity.ERROR)
    assert finding.message
    assert finding.remedy


def test_a_function_of_such_a_module_gives_the_code_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = PipelineConfigLoader(ValidatingAdapterRegistry())
    with open_site(tmp_path, monkeypatch) as site:
        for code in ("E308", "E309", "E310"):
            site.module(f"module_{code.lower()}.py", OF_MODULES[code])
            stage = f"{{type: call, config: {{function: 'module_{code.lower()}:f'}}}}"
            (finding,) = loader.check_text(document(f"adapters: [{stage}]")).findings
            assert (finding.code, finding.path) == (code, "routes.parse.adapters[0].config.function")
            assert f"module_{code.lower()}.py:" in finding.message


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} | set(OF_MODULES) == set(CATALOGUE)


def test_every_code_is_explained_and_belongs_to_a_family() -> None:
    for code, entry in CATALOGUE.items():
        assert code == entry.code
        assert code[0] in "EW"
        assert len(code) == 4
        assert code[1] in FAMILIES
        assert entry.title
        assert entry.explanation.endswith(".")
        assert entry.remedy
        assert entry.severity is (Severity.WARNING if code[0] == "W" else Severity.ERROR)


def test_the_codes_of_conditions_keep_their_own_entries() -> None:
    assert CONDITION_CODES
    for code, entry in CONDITION_CODES.items():
        assert CATALOGUE[code] is entry
    remedies = [entry.remedy for entry in CONDITION_CODES.values()]
    assert len(set(remedies)) == len(remedies)


def test_all_findings_of_a_file_come_together_in_file_order(loader: PipelineConfigLoader, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        document("adapters: [{type: nope}, {type: probe, config: {prt: 1}}]\noutbound: [{route: x}]", top="nmae: x")
    )
    result = loader.check(path)
    assert [finding.code for finding in result.findings] == ["E103", "E302", "E301", "E202", "E101"]
    assert all(finding.file == str(path) for finding in result.findings)
    places = [(finding.line, finding.column) for finding in result.findings]
    assert places == sorted(places)
