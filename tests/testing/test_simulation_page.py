"""The page of a simulated run: whole HTML without anything outside, whatever text the run contains, and always the same."""

import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.testing import simulate
from factflow_engine.testing.simulation import Crash, FaultRates, Input, Lognormal, Outage, StageModel, StickStage
from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.page import MOST_LINE, page
from factflow_engine.testing.simulation.page_events import KINDS, MOST_BANDS, MOST_SHOWN, Lane, picture
from factflow_engine.testing.simulation.trace import Trace, TraceLog
from factflow_engine.testing.virtual_time import Simulation
from factflow_protocols import always
from support.pipelines import registry_of
from testing.test_simulate import price, shop

BREAKING = """\
version: "1.0"
routes:
  letters:
    inbound: {concurrency: 3}
    adapters:
      - {name: send, type: mail, circuit_breaker: {failure_rate_threshold: 50, minimum_calls: 3, wait_duration_seconds: 3}}
    outbound: [{queue: /queue/sent, external: true}]
    error_handling: {max_retries: 2, retry_delay_seconds: 1, dead_letter_queue: /queue/dead}
"""
RATES = FaultRates(until=10, duplicate=0.1, fail_stage=0.1, slow_stage=0.1, crash_seconds=6)
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """Page that was read; raises if its elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))
        if "td" in self.open:
            self.rows[-1][-1] += data

    def text(self, tag: str) -> str:
        """Return the text in elements of a name."""
        return "".join(data for path, data in self.texts if tag in path)

    @property
    def events(self) -> list[list[str]]:
        """Cells of the rows of the trace."""
        return [row for row in self.rows if len(row) == 6]

    @property
    def data(self) -> dict:
        """What the script draws."""
        [text] = [data for path, data in self.texts if path[-1:] == ("script",) and data.startswith('{"end"')]
        return json.loads(text)


def tags(text: str) -> list[str]:
    return [tag for tag, _ in Page(text).elements]


def noted(*notes: tuple[str, str, dict]) -> Trace:
    log = TraceLog(Simulation(0, trio.testing.MockClock()).seams.clock)
    for event, detail, more in notes:
        log.note(event, detail, **more)
    return log.end()


@pytest.fixture(scope="module")
def faulty():
    inputs = [Input("orders", {"pieces": n}, at=n / 3) for n in range(30)]
    return shop(queue="broker://", processes=2, seed=5, inputs=inputs, faults=[RATES])


def test_the_page_of_a_run_with_faults(faulty, tmp_path):
    path = faulty.html(tmp_path / "run.html")
    text = path.read_text(encoding="utf-8")
    found = Page(text)
    assert "Everything held." in found.text("p")
    assert faulty.config.hash[:12] in found.text("dl")
    assert found.text("code") == faulty.reproducer
    assert f"{faulty.counts.crashes} crashes" in found.text("ul")
    assert [row[0] for row in found.events] == [f"{event.at_ns / 1e9:.6f}" for event in faulty.trace]
    assert [row[4] for row in found.events] == [event.event for event in faulty.trace]
    lanes = [(group, name) for group, name, _ in found.data["lanes"]]
    assert lanes[:6] == [
        ("processes", "process 0"), ("processes", "process 1"), ("orders", ""), ("orders", "price"), ("letters", ""),
        ("letters", "send"),
    ]  # fmt: skip
    assert {group for group, _ in lanes[6:]} == {"queues"}
    kinds = [KINDS[event[0]] for event in found.data["events"]]
    assert kinds.count("crash") == faulty.counts.crashes > 0
    assert kinds.count("published") == 30
    assert len(found.data["events"]) == len(found.events)
    lives = [band for band in found.data["bands"] if band[1] == "alive"]
    assert len(lives) == 2 + faulty.counts.crashes  # each crash ends one, and a restart begins another


def test_nothing_outside_is_named(faulty):
    text = page(faulty)
    found = Page(text)
    for tag, attributes in found.elements:
        assert tag not in {"link", "img", "iframe", "object", "base", "form", "a", "use", "image"}
        assert not {"src", "href", "srcset", "action", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert re.findall(r"\w+://[\w./]*", found.text("script") + found.text("style")) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|fetch\(|import\(|XMLHttp|innerHTML|eval\(", text)
    [policy] = [each["content"] for tag, each in found.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def test_one_run_has_one_page(faulty, tmp_path):
    again = shop(
        queue="broker://",
        processes=2,
        seed=5,
        inputs=[Input("orders", {"pieces": n}, at=n / 3) for n in range(30)],
        faults=[RATES],
    )
    assert faulty.html(tmp_path / "a.html").read_bytes() == again.html(str(tmp_path / "b.html")).read_bytes()
    assert page(faulty) != page(shop(seed=6))


def test_breakers_are_bands_and_retries_have_their_colour():
    report = simulate(
        BREAKING,
        models=[
            StageModel(
                stage="letters/send", time=Lognormal(median=1), outages=(Outage(from_seconds=3, until_seconds=9),)
            )
        ],
        inputs=[Input("letters", n, at=n / 2) for n in range(30)],
    )
    assert report.counts.breaker_openings > 1
    data = Page(page(report)).data
    bands = [band for band in data["bands"] if band[1] != "alive"]
    assert [band[1] for band in bands][:2] == ["open", "half_open"]
    assert sum(band[1] == "open" for band in bands) == report.counts.breaker_openings
    assert {data["lanes"][band[0]][1] for band in bands} == {"send"}
    assert all(start <= end for *_, start, end in bands)
    kinds = {KINDS[event[0]] for event in data["events"]}
    assert {"done", "retried", "failed", "breaker", "published", "left", "completed"} <= kinds
    for kind, _, start, end, wait, _ in data["events"]:
        assert 0 <= start <= end
        assert 0 <= wait <= start
        assert kind < data["visits"] or start == end


def test_what_is_broken_is_named_with_its_time():
    async def suspicious(context):
        always(context.message["pieces"] < 4, "orders are small")
        return await price(context)

    report = shop(registry=registry_of(price=suspicious), models=[StageModel(stage="letters/send")])
    found = Page(page(report))
    assert "Broken:" in found.text("div")
    assert "always 'orders are small'" in found.text("b")
    assert ["always 'orders are small'", "3", "2"] in found.rows


def test_an_empty_trace_and_an_empty_run_have_pages(faulty):
    found = Page(page(dataclasses.replace(faulty, trace=noted())))
    assert "The trace is empty." in found.text("p")
    assert (found.events, found.data["events"], found.data["lanes"]) == ([], [], [])
    assert [row[4] for row in Page(page(shop(inputs=[]))).events] == ["> started", "> ended"]


def test_an_open_process_and_breaker_last_to_the_end():
    trace = noted(
        ("> started", "", {"process": 1}),
        ("~ breaker", "closed -> open", {"process": 1, "route": "a", "stage": "b"}),
    )
    found = picture(trace, {"a": ["b"]})
    assert [(band.lane, band.state, band.end_ns) for band in found.bands] == [
        (Lane("a", "b"), "open", found.end_ns),
        (Lane("processes", "process 1", is_queue=True), "alive", found.end_ns),
    ]


def test_a_breaker_dies_with_its_process():
    breaker = ("~ breaker", "closed -> open", {"process": 0, "route": "a", "stage": "b"})
    trace = noted(("> started", "", {"process": 0}), breaker, ("! crashed", "", {"process": 0}), ("~ log", "later", {}))
    found = picture(trace, {"a": ["b"]})
    assert sorted(band.state for band in found.bands) == ["alive", "open"]


def test_breakers_by_key_are_open_until_the_last_is_not():
    changes = ["closed -> open", "closed -> open", "open -> half_open", "half_open -> closed", "open -> half_open"]
    noted_changes = [("~ breaker", change, {"process": 0, "route": "a", "stage": "b"}) for change in changes]
    assert [band.state for band in picture(noted(*noted_changes), {"a": ["b"]}).bands] == ["open", "half_open"]


def test_a_long_trace_has_a_bounded_page_with_the_trouble_in_the_middle(faulty):
    notes = [("* accepted", "x" * 1000, {"route": f"/queue/{n}"}) for n in range(100_000)]
    notes[50_000] = ("! fault", "the one in the middle", {"route": "/queue/a"})
    found_text = page(dataclasses.replace(faulty, trace=noted(*notes)))
    found = Page(found_text)
    assert len(found_text) < 3_000_000
    assert len(found.events) == 3_001 <= MOST_SHOWN
    assert found.events[2_000][5] == "the one in the middle"
    assert "3001 of 100000 events are shown" in found.text("p")
    assert found.data["gap"] is not None
    trouble = noted(*[("! crashed", "", {"process": n}) for n in range(20_000)])
    assert len(picture(trouble, {}).drawn) == MOST_SHOWN


def test_spans_are_bounded_and_a_trace_that_just_fits_is_whole():
    changes = [("> started", "", {"process": n}) for n in range(MOST_SHOWN)]
    found = picture(noted(*changes), {})
    assert (len(found.drawn), found.gap_ns) == (MOST_SHOWN, None)
    assert (len(found.bands), found.left_out_bands) == (MOST_BANDS, MOST_SHOWN - MOST_BANDS)


def test_a_line_that_is_too_long_is_not_on_the_page():
    report = shop(inputs=[("orders", {"pieces": 1, "text": "x" * MOST_LINE})])
    found = Page(page(report))
    assert found.text("code") == ""
    assert "print report.reproducer" in found.text("p")


HOSTILE = st.one_of(
    st.text(st.characters(), max_size=30),
    st.sampled_from(
        ["</script><script>alert(1)</script>", "<!--", "]]>", "{{data}}", "'\"><img src=x onerror=y>", "&lt;", "</td>",
         "\ud800", "\0", "\r\n", "\N{LINE SEPARATOR}", "</style>", "<!-- <script>"]
    ),
)  # fmt: skip
EMPTY = shop(inputs=[])
SHAPE = tags(page(EMPTY))


@given(route=HOSTILE, stage=HOSTILE, event=HOSTILE, detail=HOSTILE, broken=HOSTILE, process=st.integers(-1, 3))
@settings(max_examples=100, deadline=None)
def test_no_text_of_a_run_becomes_markup(tmp_path_factory, route, stage, event, detail, broken, process):
    report = dataclasses.replace(
        EMPTY,
        trace=noted((event, detail, {"route": route, "stage": stage, "process": process})),
        broken=[Broken(name=broken, text=detail)],
        outputs={route: ()},
        assertions={},
        config_text=detail,
    )
    path = report.html(tmp_path_factory.mktemp("page") / "run.html")
    found = Page(path.read_text(encoding="utf-8"))
    names = [tag for tag, _ in found.elements]
    assert names.count("script") == SHAPE.count("script")
    assert set(names) <= {*SHAPE, "ul", "li", "b", "div", "span", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert names.count("tr") == 1 + 1 + 2  # the event's, and those of the tables' heads and of the output
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    if detail.isprintable():
        assert found.events[0][5] == detail


@given(payload=HOSTILE)
@settings(max_examples=20, deadline=None)
def test_no_payload_or_error_becomes_markup(payload):
    def failing(context):
        raise ValueError(payload)

    try:
        payload.encode()
    except UnicodeEncodeError:
        payload = repr(payload)
    text = page(shop(registry=registry_of(price=failing), inputs=[("orders", {"pieces": payload})]))
    assert set(tags(text)) <= {*SHAPE, "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to read the script")
def test_the_script_is_javascript(faulty, tmp_path):
    scripts = re.findall(r"<script>\n(.*?)</script>", page(faulty), re.DOTALL)
    (tmp_path / "page.js").write_text("".join(scripts), encoding="utf-8")
    subprocess.run(["node", "--check", tmp_path / "page.js"], check=True)


def test_a_stuck_run_has_a_page():
    report = shop(faults=[StickStage(stage="letters/send", nth=1)])
    assert not report.ok
    assert "everything ends" in Page(page(report)).text("b")


def test_a_crash_without_a_restart_ends_its_life():
    report = shop(queue="broker://", processes=2, faults=[Crash(at=0.6, restart_after=None)])
    bands = [band for band in Page(page(report)).data["bands"] if band[1] == "alive" and band[2] == 0]
    assert [round(band[4] / 1e6, 3) for band in bands] == [0.6]
