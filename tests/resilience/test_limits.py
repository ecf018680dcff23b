"""Concurrency limits: the native algorithms against slow ones, and what a program can do with them."""

import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.native import ConcurrencyLimit
from factflow_engine.resilience import limits
from factflow_engine.resilience.limits import ALGORITHMS, Limit, new_limit
from resilience import limit_models

MS = 1_000_000
LATENCIES = st.integers(1, 2_000 * MS) | st.sampled_from([MS, 10 * MS, 20 * MS, 100 * MS])
SAMPLES = st.lists(
    st.tuples(st.integers(0, 50 * MS), LATENCIES, st.integers(0, 300), st.sampled_from([False, False, False, True])),
    max_size=300,
)
BOUNDS = {"initial": st.integers(1, 300), "min": st.integers(1, 50), "max": st.integers(2, 300)}
SMOOTHING = {"smoothing": st.floats(0, 1)}
PARAMETERS = {
    "aimd": BOUNDS | {"backoff": st.floats(0.5, 0.99), "timeout_ns": st.integers(1, 3_000 * MS)},
    "vegas": {"initial": st.integers(1, 3000), "max": st.integers(1, 3000), "probe_multiplier": st.integers(1, 30)}
    | SMOOTHING
    | {"threshold": st.integers(0, 9), "alpha": st.integers(0, 9), "beta": st.integers(0, 9)}
    | {"increase": st.integers(0, 9), "decrease": st.integers(0, 9), "decrease_ratio": st.floats(0, 1)}
    | {"probe_jitter": st.lists(st.floats(0.5, 1), min_size=1, max_size=3)},
    "gradient": BOUNDS
    | SMOOTHING
    | {"tolerance": st.floats(1, 3), "backoff": st.floats(0.5, 1), "probe_interval": st.integers(0, 50)}
    | {"queue_size": st.integers(0, 20)}
    | {"probe_jitter": st.lists(st.floats(0, 1), min_size=1, max_size=3)},
    "gradient2": BOUNDS
    | SMOOTHING
    | {"queue_size": st.integers(0, 20), "tolerance": st.floats(1, 3), "long_window": st.integers(1, 600)}
    | {"warmup": st.integers(0, 20)},
}
GATHERING = {
    "plateau": BOUNDS
    | SMOOTHING
    | {"tick_ns": st.integers(1, 200 * MS), "margin": st.floats(1, 1.5), "hold_ticks": st.integers(0, 10)},
    "brpc": BOUNDS
    | SMOOTHING
    | {"sample_window_ns": st.integers(1, 200 * MS), "sampling_interval_ns": st.integers(0, 20 * MS)}
    | {"min_sample_count": st.integers(1, 10), "max_sample_count": st.integers(1, 20)}
    | {"remeasure_interval_ns": st.integers(2, 3_000 * MS), "remeasure_ratio": st.floats(0, 1)}
    | {"error_punish": st.integers(0, 1), "fail_punish_ratio": st.floats(0, 3)}
    | {"error_rate_punish_threshold": st.floats(0, 1), "min_explore_ratio": st.floats(0, 0.3)}
    | {"max_explore_ratio": st.floats(0.3, 1), "explore_step": st.floats(0, 0.2)}
    | {"latency_fluctuation_correction_factor": st.floats(0, 3)}
    | {"probe_jitter": st.lists(st.floats(0, 1), min_size=1, max_size=3)},
    "bbr": BOUNDS
    | {"buckets": st.integers(2, 20), "window_ns": st.integers(100, 2_000 * MS)}
    | {"overload_ns": st.integers(0, 500 * MS)},
}
MODELS = {
    "aimd": limit_models.Aimd,
    "vegas": limit_models.Vegas,
    "gradient": limit_models.Gradient,
    "gradient2": limit_models.Gradient2,
}
GATHERING_MODELS = {"plateau": limit_models.Plateau, "brpc": limit_models.Brpc, "bbr": limit_models.Bbr}
WINDOWS = st.none() | st.fixed_dictionaries(
    {
        "min_window_ns": st.integers(1, 50 * MS),
        "max_window_ns": st.integers(50 * MS, 500 * MS),
        "size": st.integers(1, 5),
    },
    optional={"percentile": st.floats(0.01, 1)},
)


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data(), samples=SAMPLES, window=WINDOWS)
def test_a_native_algorithm_is_the_slow_one(name, data, samples, window):
    given = data.draw(st.fixed_dictionaries({}, optional=PARAMETERS[name]))
    jitter = {"probe_jitter": [0.75]} if "probe_jitter" in PARAMETERS[name] else {}
    given = jitter | given
    model = MODELS[name](**limit_models.moved(MODELS[name], given))
    if window is None:
        native = new_limit(name, **given)
    else:
        native = new_limit(name, window=window, **given)
        model = limit_models.Windowed(model, **window)
    start = 0
    for pause, rtt, in_flight, dropped in samples:
        start += pause
        native.on_sample(start_ns=start, rtt_ns=rtt, in_flight=in_flight, dropped=dropped)
        if window is None:
            model.sample(rtt, in_flight, dropped)
        else:
            model.sample(rtt, in_flight, dropped, start)
        assert native.limit == model.limit


@st.composite
def busy_histories(draw):
    """Calls of a server whose throughput has an end, in the order in which they end; how many the limit has, or nearly."""
    workers, service = draw(st.integers(1, 60)), draw(st.sampled_from([MS // 50, 5 * MS, 40 * MS]))
    seed = draw(st.randoms(use_true_random=False))
    drops, gaps, pauses = (draw(st.sampled_from([0, 0.02, share])) for share in (0.3, 0.5, 0.02))

    def calls(limit):
        in_flight = max(1, limit - (seed.random() < gaps) * seed.randint(0, 3))
        rtt = int(service * max(1, in_flight / workers) * seed.uniform(0.9, 1.1))
        pause = int(rtt / in_flight) + (seed.random() < pauses) * seed.randint(0, 2_000 * MS)
        return pause, rtt, in_flight, seed.random() < drops

    return calls


@pytest.mark.parametrize("name", GATHERING_MODELS)
@given(data=st.data(), samples=SAMPLES, busy=st.none() | busy_histories())
def test_an_algorithm_that_gathers_samples_is_the_slow_one(name, data, samples, busy):
    given = data.draw(st.fixed_dictionaries({}, optional=GATHERING[name]))
    jitter = {"probe_jitter": [0.75]} if "probe_jitter" in GATHERING[name] else {}
    given = jitter | given
    native = new_limit(name, **given)
    model = GATHERING_MODELS[name](**limit_models.moved(GATHERING_MODELS[name], given))
    end = 0
    for ordinal in range(len(samples) if busy is None else 400):
        pause, rtt, in_flight, dropped = samples[ordinal] if busy is None else busy(native.limit)
        end = max(end + pause, rtt)
        native.on_sample(start_ns=end - rtt, rtt_ns=rtt, in_flight=in_flight, dropped=dropped)
        model.sample(rtt, in_flight, dropped, end - rtt)
        assert native.limit == model.limit


@given(
    st.lists(
        st.tuples(st.integers(0, 60 * MS), st.sampled_from(["start", "success", "success", "dropped", "ignored"]))
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "initial": st.integers(1, 30),
            "max": st.integers(1, 40),
            "decrease_ratio": st.floats(0, 1),
            "ewma_alpha": st.floats(0, 1),
            "rtt_deviation_scale": st.floats(0, 5),
        },
    ),
)
def test_arc_is_the_slow_one(steps, given):
    native, model = new_limit("arc", **given), limit_models.Arc(**limit_models.moved(limit_models.Arc, given))
    now, running = 0, []
    for pause, step in steps:
        now += pause
        if step == "start":
            running.append(now)
            native.on_start(now)
            model.start()
        elif running:
            start = running.pop(0)
            native.on_finish(now, start, step)
            model.finish(now, start, step)
        assert native.limit == model.limit


@pytest.mark.parametrize("name", sorted({*ALGORITHMS} - {"fixed"}))
def test_a_default_gives_way_to_a_bound(name):
    assert new_limit(name, max=3).limit <= 3, "what protects a dependency holds from the first call on"
    if name not in {"vegas", "arc"}:
        assert new_limit(name, min=600).limit == 600
    assert new_limit(name, max=3, initial=9).limit == 9, "as the originals"


def test_a_change_is_explained():
    limit = new_limit("gradient2", initial=100, min=1)
    assert limit.explain() is None
    limit.on_sample(start_ns=5, rtt_ns=10, in_flight=100)
    assert limit.explain() is None, "100.8"
    limit.on_sample(start_ns=5, rtt_ns=10, in_flight=100)
    change = limit.explain()
    assert (change.at_ns, change.before, change.after, change.reason) == (15, 100, 101, "as fast")
    for ordinal in range(20):
        limit.on_sample(start_ns=ordinal, rtt_ns=50 * MS, in_flight=100)
    change = limit.explain()
    assert change.reason in {"slower", "as fast"}
    assert change.after == limit.limit
    assert change.statistics["rtt_ns"] == 50 * MS
    assert all(math.isfinite(number) for number in change.statistics.values())


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: new_limit("vegs"), ValueError, 'no limit algorithm "vegs"; there are adaptive, fixed, aimd'),
        (lambda: new_limit("aimd", backof=0.5), ValueError, 'unknown parameter "backof"; it has initial, min, max'),
        (lambda: new_limit("aimd", initial="ten"), TypeError, "initial: expected a number, got 'ten'"),
        (lambda: new_limit("aimd", initial=0), ValueError, "initial: expected a number from 1 to"),
        (lambda: new_limit("aimd", window=3), ValueError, "window: expected a mapping, got 3"),
        (lambda: new_limit("aimd", window={"sized": 3}), ValueError, 'aimd, window: unknown parameter "sized"'),
        (lambda: new_limit("arc", window={}), ValueError, "it has windows of its own"),
        (
            lambda: new_limit("vegas", probe_jitter=[2.0]),
            ValueError,
            "expected numbers from 0 to 1, one at least, got 2",
        ),
        (lambda: new_limit("vegas", probe_jitter=lambda: 2.0), ValueError, "expected a number from 0 to 1, got 2"),
        (lambda: new_limit("arc").on_sample(start_ns=0, rtt_ns=1, in_flight=1), TypeError, "use on_start() and on_fin"),
        (lambda: new_limit("aimd").on_start(0), TypeError, "aimd: it takes samples"),
        (lambda: new_limit("arc").on_finish(1, 0, "lost"), ValueError, "expected `success`, `dropped` or `ignored`"),
        (lambda: new_limit("vegas").on_sample(start_ns=0, rtt_ns=0, in_flight=1), ValueError, "above 0, got 0"),
        (
            lambda: new_limit("adaptive", min=20, max=5),
            ValueError,
            "adaptive, min: expected at most max, which is 5, got",
        ),
    ],
)
def test_what_cannot_be_is_said(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize(("algorithm", "has_window"), [("adaptive", False), ("arc", False), ("aimd", True)])
def test_a_window_is_offered_where_one_can_be(algorithm, has_window):
    with pytest.raises(ValueError, match="unknown parameter") as caught:
        new_limit(algorithm, mni=20)
    assert str(caught.value).endswith(", window") is has_window


@pytest.mark.parametrize("workers", [3, 20, 60])
def test_adaptive_finds_the_number_of_workers(workers):
    """Calls of 50 ms that queue for workers, as many at a time as the limit allows."""
    limit, now, seed = new_limit("adaptive", target_latency_ns=400 * MS), 0, 0
    ends = [0] * workers  # of what each worker has taken on
    calls, limits = [], []
    while now < 20_000 * MS:
        while len(calls) < limit.limit:
            limit.on_start(now)
            worker = min(range(workers), key=ends.__getitem__)
            ends[worker] = max(ends[worker], now) + 50 * MS
            seed += 1
            heapq.heappush(calls, (ends[worker], seed, now))
        limit.on_blocked(now)
        now, _, start = heapq.heappop(calls)
        limit.on_finish(now, start)
        if now > 5_000 * MS:
            limits.append(limit.limit)
    assert workers * 0.9 <= sum(limits) / len(limits) <= workers * 1.25
    assert limit.explain().reason.partition(":")[0] in {"trial", "probe", "queue"}


def test_an_injected_function_may_use_the_limit_that_it_is_drawn_for():
    made = []

    def draw():
        if made:
            made[0].on_sample(start_ns=0, rtt_ns=MS, in_flight=1)
        return 0.5

    limit = new_limit("vegas", initial=1, probe_multiplier=1, probe_jitter=draw)
    made.append(limit)
    with pytest.raises(RecursionError):
        for _ in range(5):
            limit.on_sample(start_ns=0, rtt_ns=MS, in_flight=1)


class Halving:
    """A program's own algorithm."""

    def __init__(self, start=64):
        self.limit = start

    def on_sample(self, *, start_ns, rtt_ns, in_flight, dropped=False):
        self.limit = self.limit // 2


def test_a_programs_own_algorithm_is_made_by_its_name(monkeypatch):
    monkeypatch.setattr(limits, "_REGISTERED", {})
    limits.register("halving", Halving)
    limits.register("halving", Halving)
    assert limits.registered() == (*ALGORITHMS, "halving")
    limit = new_limit("halving", start=4)
    assert isinstance(limit, Limit)
    assert limit.explain() is None
    limit.on_sample(start_ns=1, rtt_ns=2, in_flight=3)
    change = limit.explain()
    assert (change.at_ns, change.before, change.after, change.reason) == (3, 4, 2, "halving")
    limit.on_sample(start_ns=1, rtt_ns=2, in_flight=3)
    with pytest.raises(ValueError, match="expected a limit that is an int of 1 or more, got 0"):
        limit.on_sample(start_ns=1, rtt_ns=2, in_flight=3)
    assert limit.limit == 1
    with pytest.raises(ValueError, match="is another one that was registered"):
        limits.register("halving", Halving.__init__)
    with pytest.raises(ValueError, match="'aimd' is a built-in algorithm; give yours another name"):
        limits.register("aimd", Halving)
    with pytest.raises(ValueError, match="expected a name, got ''"):
        limits.register("", Halving)
    with pytest.raises(TypeError, match="'five': expected a class, or a function that makes one, got 5"):
        limits.register("five", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no limit algorithm .*; registered are halving"):
        new_limit("halfing")


def test_every_algorithm_can_be_made_and_names_itself():
    for name in ALGORITHMS:
        limit = new_limit(name)
        assert isinstance(limit, ConcurrencyLimit)
        assert limit.name == name
        assert limit.limit >= 1


@pytest.mark.parametrize("name", ALGORITHMS)
def test_making_a_builtin_algorithm_never_asks_for_installed_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # That reads the metadata of every installed distribution: milliseconds, at each configuration that is loaded.
    monkeypatch.setattr(limits, "installed_algorithms", lambda: pytest.fail("asked"))
    new_limit(name)
    with pytest.raises(ValueError, match="nothing"):
        new_limit(name, nothing=1)
