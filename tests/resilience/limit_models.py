# ruff: noqa: A002 - the algorithms' parameters have these names
"""The published limit algorithms in Python, as plainly as can be: what the native ones must do, number for number."""

import inspect
import math
from fractions import Fraction

MS = 1_000_000


def whole(estimate):
    return max(1, int(estimate))


def moved(model, given):
    """The parameters, with the defaults that a given bound excludes moved to that bound."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(model).parameters.items()}
    low, high = given.get("min"), given.get("max")
    high = max(defaults["max"], low or 1) if high is None else high
    low = min(defaults.get("min", 1), high) if low is None else low
    bounds = {"initial": min(max(defaults["initial"], low), high), "min": low, "max": high}
    return {name: value for name, value in bounds.items() if name in defaults} | given


class Aimd:
    def __init__(self, initial=20, min=20, max=200, backoff=0.9, timeout_ns=5_000_000_000):
        self.limit, self.min, self.max, self.backoff, self.timeout_ns = initial, min, max, backoff, timeout_ns

    def sample(self, rtt, in_flight, dropped):
        if dropped or rtt > self.timeout_ns:
            wanted = whole(self.limit * self.backoff)
        elif in_flight * 2 >= self.limit:
            wanted = self.limit + 1
        else:
            wanted = self.limit
        self.limit = min(self.max, max(self.min, wanted))


class Estimating:
    @property
    def limit(self):
        return whole(self.estimate)


class Vegas(Estimating):
    def __init__(
        self,
        initial=20,
        max=1000,
        smoothing=1.0,
        threshold=None,
        alpha=None,
        beta=None,
        increase=None,
        decrease=None,
        decrease_ratio=1.0,
        probe_multiplier=30,
        probe_jitter=(0.75,),
    ):
        self.estimate, self.max, self.smoothing, self.multiplier = initial, max, smoothing, probe_multiplier
        self.given, self.decrease_ratio = (threshold, alpha, beta, increase, decrease), decrease_ratio
        self.jitters = cycled(probe_jitter)
        self.jitter, self.count, self.smallest = next(self.jitters), 0, None

    def sample(self, rtt, in_flight, dropped):
        self.count += 1
        if self.jitter * self.multiplier * self.estimate <= self.count:
            self.jitter, self.count, self.smallest = next(self.jitters), 0, rtt
            return
        if self.smallest is None or rtt < self.smallest:
            self.smallest = rtt
            return
        queue = math.ceil(self.estimate * (1 - self.smallest / rtt))
        step = max(1, len(str(int(self.estimate))) - 1)
        usual = (step, 3 * step, 6 * step, step, step)
        threshold, alpha, beta, increase, decrease = (
            usual if given is None else given for given, usual in zip(self.given, usual, strict=True)
        )
        if dropped:
            wanted = self.estimate * self.decrease_ratio - decrease
        elif in_flight * 2 < self.estimate:
            return
        elif queue <= threshold:
            wanted = self.estimate + beta
        elif queue < alpha:
            wanted = self.estimate + increase
        elif queue > beta:
            wanted = self.estimate * self.decrease_ratio - decrease
        else:
            return
        wanted = max(1, min(self.max, wanted))
        self.estimate = (1 - self.smoothing) * self.estimate + self.smoothing * wanted


class Gradient(Estimating):
    def __init__(
        self,
        initial=50,
        min=1,
        max=1000,
        smoothing=0.2,
        tolerance=2.0,
        backoff=0.9,
        queue_size=None,
        probe_interval=1000,
        probe_jitter=(0.5,),
    ):
        self.estimate, self.min, self.max, self.smoothing, self.queue = initial, min, max, smoothing, queue_size
        self.tolerance, self.backoff, self.interval = tolerance, backoff, probe_interval
        self.jitters = cycled(probe_jitter)
        self.smallest = None
        self.countdown = self.drawn()

    def drawn(self):
        return self.interval + max(0, min(int(self.interval * next(self.jitters)), self.interval - 1))

    def sample(self, rtt, in_flight, dropped):
        queue = max(4, math.isqrt(self.limit)) if self.queue is None else self.queue
        if self.countdown == 0 and self.interval:
            self.countdown, self.estimate, self.smallest = self.drawn(), min(self.max, max(self.min, queue)), None
            return
        self.countdown -= 1
        self.smallest = rtt if self.smallest is None else min(self.smallest, rtt)
        gradient = max(0.5, min(1.0, self.tolerance * self.smallest / rtt))
        if dropped:
            wanted = self.estimate * self.backoff
        elif in_flight < self.estimate / 2:
            return
        else:
            wanted = self.estimate * gradient + queue
        if wanted < self.estimate:
            wanted = max(self.min, self.estimate * (1 - self.smoothing) + self.smoothing * wanted)
        self.estimate = min(self.max, max(queue, wanted))


class Gradient2(Estimating):
    def __init__(
        self, initial=20, min=20, max=200, smoothing=0.2, queue_size=4, tolerance=1.5, long_window=600, warmup=10
    ):
        self.estimate, self.min, self.max, self.smoothing = initial, min, max, smoothing
        self.queue, self.tolerance, self.factor, self.warmup = queue_size, tolerance, 2 / (long_window + 1), warmup
        self.count, self.sum, self.long = 0, 0.0, 0.0

    def sample(self, rtt, in_flight, dropped):
        if self.count < self.warmup:
            self.count += 1
            self.sum += rtt
            self.long = self.sum / self.count
        else:
            self.long = self.long * (1 - self.factor) + rtt * self.factor
        long = self.long
        if long / rtt > 2:
            self.long *= 0.95
        if in_flight < self.estimate / 2:
            return
        gradient = max(0.5, min(1.0, self.tolerance * long / rtt))
        wanted = self.estimate * gradient + self.queue
        wanted = self.estimate * (1 - self.smoothing) + wanted * self.smoothing
        self.estimate = max(self.min, min(self.max, wanted))


class Windowed:
    def __init__(self, inner, min_window_ns, max_window_ns, size, min_rtt_threshold_ns=100_000, percentile=None):
        self.inner, self.min, self.max, self.size = inner, min_window_ns, max_window_ns, size
        self.threshold, self.percentile = min_rtt_threshold_ns, percentile
        self.next, self.window = 0, []

    @property
    def limit(self):
        return self.inner.limit

    def sample(self, rtt, in_flight, dropped, start=0):
        if rtt < self.threshold:
            return
        if self.percentile is None or len(self.window) < 256:
            self.window.append((rtt, in_flight, dropped))
        if start + rtt <= self.next:
            return
        latencies, most, drops = zip(*self.window, strict=True)
        self.next = start + rtt + min(max(2 * min(latencies), self.min), self.max)
        if len(latencies) >= self.size:
            if self.percentile is None:
                tracked = sum(latencies) // len(latencies)
            else:
                tracked = sorted(latencies)[max(math.floor(len(latencies) * self.percentile + 0.5), 1) - 1]
            self.inner.sample(tracked, max(most), any(drops))
        self.window = []


class Arc:
    def __init__(self, initial=1, max=200, decrease_ratio=0.9, ewma_alpha=0.4, rtt_deviation_scale=2.5):
        self.limit, self.max, self.ratio, self.alpha, self.scale = (
            initial, max, decrease_ratio, ewma_alpha, rtt_deviation_scale,
        )  # fmt: skip
        self.in_flight, self.reached, self.overloaded = 0, False, False
        self.count, self.mean, self.past, self.next = 0, 0.0, None, 0

    def start(self):
        self.in_flight += 1
        self.reached = self.reached or self.in_flight >= self.limit

    def finish(self, now, start, outcome):
        self.overloaded = self.overloaded or outcome == "dropped"
        self.in_flight = max(0, self.in_flight - 1)
        if outcome == "success":
            rtt = seconds(max(0, now - start))
            self.count += 1
            self.mean += (rtt - self.mean) / self.count
        present = self.mean if self.count else None
        if self.past is None:
            if present is not None:
                self.past = (present, 0.0)
                self.next = now + nanoseconds(present)
            return
        if now < self.next:
            return
        mean, variance = self.past
        threshold = math.sqrt(variance) * self.scale
        if self.limit < self.max and self.reached and not self.overloaded and present is not None and present <= mean:
            self.limit += 1
        elif self.limit > 1 and (self.overloaded or (present or 0.0) >= mean + threshold):
            self.limit = whole(self.limit * self.ratio)
        if present is not None:
            increment = self.alpha * (present - mean)
            self.past = (mean + increment, (1 - self.alpha) * fused(present - mean, increment, variance))
        self.next = now + nanoseconds(self.past[0])
        self.count, self.mean, self.overloaded, self.reached = 0, 0.0, False, False


class Plateau:
    def __init__(self, initial=1, min=1, max=200, tick_ns=500 * MS, margin=1.05, smoothing=0.5, hold_ticks=10):
        self.limit, self.min, self.max = initial, min, max
        self.tick_ns, self.margin, self.smoothing, self.hold_ticks = tick_ns, margin, smoothing, hold_ticks
        self.rates, self.settling, self.holding = {}, True, 0
        self.tick_end, self.calls = None, []

    def go(self, limit):
        self.limit, self.settling = bounded(self, limit), True

    def sample(self, rtt, in_flight, dropped, start):
        now = start + rtt
        self.limit = limit = bounded(self, self.limit)
        if self.tick_end is None:
            self.tick_end = now + self.tick_ns
        if now >= self.tick_end:
            self.tick()
            empty = (now - self.tick_end) // self.tick_ns
            self.holding = max(0, self.holding - empty)
            if empty and start <= self.tick_end and in_flight >= limit:
                self.go(self.limit + 1)
            self.tick_end += (empty + 1) * self.tick_ns
            self.calls = []
        self.calls.append((in_flight, dropped))

    def tick(self):
        self.holding = max(0, self.holding - 1)
        if any(dropped for _, dropped in self.calls):
            self.holding = self.hold_ticks
            self.go(self.limit - 1)
        elif self.settling:
            self.settling = False
        elif max(in_flight for in_flight, _ in self.calls) == self.limit:
            self.compare(len(self.calls))

    def compare(self, present):
        limit = self.limit
        rate = self.rates.get(limit, present) * (1 - self.smoothing) + present * self.smoothing
        self.rates = {known: rate for known, rate in self.rates.items() if known == limit or (known - limit) % 128}
        self.rates[limit] = rate
        below, above = self.rates.get(limit - 1), self.rates.get(limit + 1)
        if limit > self.min and below is None:
            pays = limit < self.max and above is not None and above >= rate * self.margin
            self.go(limit + 1 if pays else limit - 1)
        elif limit > self.min and rate < below * self.margin:
            self.go(limit - 1)
            del self.rates[limit]
            self.holding = self.hold_ticks
        elif self.holding == 0 and limit < self.max:
            self.go(limit + 1)


class Brpc:
    def __init__(
        self,
        initial=40,
        min=40,
        max=1000,
        sample_window_ns=1000 * MS,
        min_sample_count=100,
        max_sample_count=200,
        sampling_interval_ns=100_000,
        remeasure_interval_ns=50_000 * MS,
        remeasure_ratio=0.9,
        smoothing=0.1,
        error_punish=1,
        fail_punish_ratio=1.0,
        error_rate_punish_threshold=0.0,
        min_explore_ratio=0.06,
        max_explore_ratio=0.3,
        explore_step=0.02,
        latency_fluctuation_correction_factor=1.0,
        probe_jitter=(0.5,),
    ):
        self.limit, self.min, self.max = initial, min, max
        self.window_ns, self.samples = sample_window_ns, (min_sample_count, max_sample_count)
        self.interval, self.remeasure_interval = sampling_interval_ns, remeasure_interval_ns
        self.remeasure_ratio, self.smoothing, self.punishes = remeasure_ratio, smoothing, error_punish
        self.punish_ratio, self.threshold = fail_punish_ratio, error_rate_punish_threshold
        self.explore_bounds, self.step = (min_explore_ratio, max_explore_ratio), explore_step
        self.factor, self.jitters = latency_fluctuation_correction_factor, cycled(probe_jitter)
        self.looked = self.remeasure = self.drained = None
        self.smallest, self.peak, self.explore = 0.0, 0.0, max_explore_ratio
        self.begin(None)

    def begin(self, now):
        self.start, self.all_successes, self.calls, self.reached = now, 0, [], False

    def drawn(self, now):
        half = self.remeasure_interval // 2
        return now + half + min(int(half * next(self.jitters)), half)

    def sample(self, rtt, in_flight, dropped, start):
        now = start + rtt
        self.limit = bounded(self, self.limit)
        self.all_successes += not dropped
        if self.looked is not None and now - self.looked < self.interval:
            return
        self.looked = now
        if self.remeasure is None:
            self.remeasure = self.drawn(now)
        if self.drained is not None:
            if now < self.drained:
                return
            self.drained, self.smallest, self.remeasure = None, 0.0, self.drawn(now)
            self.begin(now)
        if self.start is None:
            self.start = now
        if not dropped or self.punishes:
            self.calls.append((rtt, dropped))
        self.reached = self.reached or in_flight >= self.limit
        age = now - self.start
        if len(self.calls) < self.samples[0]:
            if age >= self.window_ns and not self.reached:
                self.begin(now)
        elif age > 0 and (age >= self.window_ns or len(self.calls) >= self.samples[1]):
            self.decide(now, age)
            self.begin(now)

    def decide(self, now, age):
        successes = [rtt for rtt, dropped in self.calls if not dropped]
        failures = [rtt for rtt, dropped in self.calls if dropped]
        if not successes:
            self.limit = bounded(self, self.limit // 2)
            return
        attenuation = 1.0
        if 0 < self.threshold < 1:
            attenuation = max(0.0, (len(failures) / len(self.calls) - self.threshold) / (1 - self.threshold))
        rtt = (sum(failures) * self.punish_ratio * attenuation + sum(successes)) / len(successes)
        if self.smallest <= 0:
            self.smallest = rtt
        elif rtt < self.smallest:
            self.smallest = rtt * self.smoothing + self.smallest * (1 - self.smoothing)
        rate, slowly = self.all_successes / age, self.smoothing / 10
        self.peak = rate if rate >= self.peak else rate * slowly + self.peak * (1 - slowly)
        product = self.peak * self.smallest
        if self.remeasure <= now:
            self.drained = now + int(rtt * 2)
            self.limit = bounded(self, max(1, math.ceil(product * self.remeasure_ratio)))
            return
        low, high = self.explore_bounds
        if rtt <= self.smallest * (1 + low * self.factor) or rate <= self.peak / (1 + low):
            self.explore = min(high, self.explore + self.step)
        else:
            self.explore = max(low, self.explore - self.step)
        self.limit = bounded(self, max(1, math.ceil(product * (1 + self.explore))))


class Bbr:
    def __init__(self, initial=20, min=1, max=200, buckets=100, window_ns=10_000 * MS, overload_ns=0):
        self.limit, self.min, self.max = initial, min, max
        self.buckets, self.bucket_ns, self.overload_ns = buckets, window_ns // buckets, overload_ns
        self.calls, self.current, self.dropped, self.best = {}, None, None, None

    def sample(self, rtt, in_flight, dropped, start):
        now = start + rtt
        self.limit = bounded(self, self.limit)
        bucket = now // self.bucket_ns
        if dropped:
            self.dropped = now
        if bucket != self.current:
            self.current = bucket
            known = [calls for ordinal, calls in self.calls.items() if bucket - self.buckets < ordinal < bucket]
            if known:
                self.best = max(map(len, known)), min(sum(calls) / len(calls) for calls in known)
            self.decide(now)
        elif dropped:
            self.decide(now)
        self.calls.setdefault(bucket, []).append(rtt)

    def decide(self, now):
        if self.overload_ns and (self.dropped is None or now - self.dropped >= self.overload_ns):
            self.limit = self.max
        elif self.best:
            most, smallest = self.best
            self.limit = bounded(self, max(1, math.floor(most * smallest / self.bucket_ns + 0.5)) + 1)


def bounded(model, limit):
    return min(model.max, max(model.min, limit))


def cycled(numbers):
    while True:
        yield from numbers


def fused(a, b, c):
    """a * b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def seconds(ns):
    return ns // 1_000_000_000 + ns % 1_000_000_000 / 1e9


def nanoseconds(s):
    return round(int(s) * 1_000_000_000) + round(math.fmod(s, 1.0) * 1e9)
