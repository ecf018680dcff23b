"""Each expectation: met, and not met with its text."""

import pytest

from factflow_engine.testing.config_tests.running import Verdict

SMALL = "outputs: {/queue/small: [{total: 4}]}"
LARGE = "[{route: orders, payload: {pieces: 3}}]"
SENT = "outputs: {/queue/sent: [{total: 20, sent: true}]}"
BOTH = "[{route: orders, payload: {pieces: 1}}, {route: orders, payload: {pieces: 3}, key: a, headers: {tenant: x}, at: 5}]"
BOTH_OUT = "outputs: {/queue/small: [{total: 4}], /queue/sent: [{total: 20, sent: true}]}"
UNLUCKY = "[{route: orders, payload: {pieces: 13}}]"
FAILING_SEND = "stages:\n  letters/send: {raises: no answer}"
DEAD = "dead_letters: [{route: letters}]"
TWO_KEYS = (
    "[{route: orders, payload: {pieces: 200}, key: a}, {route: orders, payload: {pieces: 2}, key: b, at: 0.5},"
    " {route: orders, payload: {pieces: 3}, key: b, at: 1}]"
)

CASES = [
    # name, what is met, what is not, its inputs and stages, parts of the text
    ("output", SMALL, "outputs: {/queue/small: [{total: 5}]}", {}, ["outputs of /queue/small", "-- total: 5", "+- total: 4"]),
    ("unlisted output", SMALL, "", {}, ["outputs of /queue/small", "-[]", "+- total: 4"]),
    ("missing output", SMALL, f"{SMALL[:-1]}, /queue/sent: [1]}}", {}, ["outputs of /queue/sent", "-- 1", "+[]"]),
    ("contains", "outputs: {/queue/sent: [{contains: {total: 20}}]}", "outputs: {/queue/sent: [{contains: {total: 21}}]}", {"inputs": LARGE}, ["-- contains:\n-    total: 21\n+- total: 20\n+  sent: true"]),
    ("contains is of maps", "outputs: {/queue/sent: [{contains: {}}]}", "outputs: {/queue/sent: [{contains: []}]}", {"inputs": LARGE}, ["-- contains: []"]),
    ("matches", "outputs: {/queue/sent: [{matches: {field: total, operator: gt, value: 19}}]}", "outputs: {/queue/sent: [{matches: {field: total, operator: gt, value: 20}}]}", {"inputs": LARGE}, ["-    operator: gt"]),
    ("payload", "outputs: {/queue/small: [{payload: {total: 4}}]}", "outputs: {/queue/small: [{payload: {payload: 4}}]}", {}, ["-- payload: 4", "+- total: 4"]),
    ("key", "outputs: {/queue/small: [{total: 4}], /queue/sent: [{contains: {}, key: a}]}", "outputs: {/queue/small: [{total: 4}], /queue/sent: [{contains: {}, key: b}]}", {"inputs": BOTH}, ["-  key: b", "+  key: a"]),
    ("headers", "outputs: {/queue/small: [{total: 4}], /queue/sent: [{contains: {}, headers: {tenant: x}}]}", "outputs: {/queue/small: [{total: 4}], /queue/sent: [{contains: {}, headers: {tenant: z}}]}", {"inputs": BOTH}, ["-    tenant: z", "+    tenant: x"]),
    ("time", "outputs: {/queue/sent: [{contains: {}, at: 2}]}", "outputs: {/queue/sent: [{contains: {}, at: {at_most: 1.5}}]}", {"inputs": LARGE}, ["-    at_most: 1.5", "+  at: 2.0"]),
    ("count", "outputs: {/queue/small: {count: 1}}", "outputs: {/queue/small: {count: 2}}", {}, ["number of outputs of /queue/small", "-2", "+1"]),
    ("any order", "outputs: {/queue/sent: [{total: 20, sent: true}, {total: 20, sent: true}, {total: 4000}]}", "outputs: {/queue/sent: [{total: 4000}]}", {"inputs": TWO_KEYS}, [" - total: 4000\n+- total: 20\n+  sent: true\n+- total: 20"]),
    ("exact order", "order: exact\noutputs: {/queue/sent: [{total: 4000}, {contains: {total: 20}}, {contains: {total: 20}}]}", "outputs: {/queue/sent: {order: exact, messages: [{contains: {total: 20}}, {contains: {total: 20}}, {total: 4000}]}}", {"inputs": TWO_KEYS}, ["outputs of /queue/sent, in order", "-- contains"]),
    ("order of a key", "outputs: {/queue/sent: {order: key, messages: [{payload: {total: 20, sent: true}, key: b, at: 2.5}, {contains: {}, key: b, at: 3}, {contains: {}, key: a}]}}", "outputs: {/queue/sent: {order: key, messages: [{payload: {total: 20, sent: true}, key: b, at: 3}, {contains: {}, key: b, at: 2.5}, {contains: {}, key: a}]}}", {"inputs": TWO_KEYS}, ["in order of each key"]),
    ("order of a key that is not named", "outputs: {/queue/sent: {order: key, messages: [{payload: {total: 20, sent: true}, at: 2.5}, {contains: {}, at: 3}, {contains: {total: 4000}}]}}", "outputs: {/queue/sent: {order: key, messages: [{contains: {}, at: 3}, {contains: {}, at: 2.5}, {contains: {total: 4000}}]}}", {"inputs": TWO_KEYS}, ["in order of each key"]),
    ("outcomes", f"{SMALL}\noutcomes: {{orders: {{completed: 1}}, letters: {{}}}}", f"{SMALL}\noutcomes: {{orders: {{filtered: 1}}}}", {}, ["outcomes of orders", "-completed: 0\n-filtered: 1\n+completed: 1\n+filtered: 0"]),
    ("reached", f"{SENT}\nreached: [letters, letters/send, letters/set_fields]", f"{SMALL}\nreached: [letters, orders]", {"inputs": (LARGE, None)}, ["reached", "-letters: reached", '+letters: "not reached"']),
    ("not reached", f"{SMALL}\nnot_reached: [letters, letters/send]", f"{SMALL}\nnot_reached: [orders/price]", {}, ["not_reached", "+orders/price: reached"]),
    ("a skipped stage is not reached", "outputs: {/queue/sent: [{total: 4000}]}\nnot_reached: [letters/set_fields]", "outputs: {/queue/sent: [{total: 4000}]}\nreached: [letters/set_fields]", {"inputs": "[{route: orders, payload: {pieces: 200}}]"}, ["-letters/set_fields: reached"]),
    ("number of calls", f"{SMALL}\ncalls: {{orders/price: 1, letters/send: 0}}", f"{SMALL}\ncalls: {{orders/price: 2}}", {}, ["number of calls of orders/price", "-2", "+1"]),
    ("messages of calls", f"{SMALL}\ncalls: {{orders/price: [{{pieces: 1}}]}}", f"{SMALL}\ncalls: {{orders/price: [{{pieces: 2}}]}}", {}, ["calls of orders/price", "-- pieces: 2", "+- pieces: 1"]),
    ("failure", "failures: [{route: orders, type: ValueError, error: '^un.*y$', text: unlucky}]", "failures: [{route: orders, type: KeyError}]", {"inputs": UNLUCKY}, ["failures", "-  type: KeyError", "+  type: ValueError\n+  error: unlucky"]),
    ("failure's text", "failures: [{route: orders, error: luck}]", "failures: [{route: orders, error: '^luck'}]", {"inputs": UNLUCKY}, ['-  error: "^luck"', "+  error: unlucky"]),
    ("unlisted failure", "failures: [{route: orders}]", "", {"inputs": UNLUCKY}, ["failures", "-[]", "+- route: orders"]),
    ("number of failures", "failures: [{route: orders, count: 2}]", "failures: [{route: orders, count: 3}]", {"inputs": f"[{UNLUCKY[1:-1]}, {UNLUCKY[1:-1]}]"}, ["-- route: orders"]),
    ("dead letter", DEAD, "failures: [{route: letters}]", {"inputs": LARGE, "more": FAILING_SEND}, ["dead letters", "+- route: letters\n+  type: StubbedError", "failures\n", "+[]"]),
    ("dead letter's payload", f"{DEAD}\noutputs: {{/queue/dead: [{{total: 20}}]}}", f"{DEAD}\noutputs: {{/queue/dead: []}}", {"inputs": LARGE, "more": FAILING_SEND}, ["outputs of /queue/dead", "-[]", "+- total: 20"]),
    ("duration", f"{SENT}\nduration: {{at_least: 2, at_most: 2}}", f"{SENT}\nduration: {{at_least: 3, at_most: 4}}", {"inputs": LARGE}, ["duration", "-at least 3 s and at most 4 s", "+2 s"]),
    ("status", f"{SMALL}\nstatus: completed", f"{SMALL}\nstatus: failed", {}, ["status", "-failed", "+completed"]),
    ("stopped", "status: cancelled", "outputs: {/queue/sent: [1]}", {"inputs": LARGE, "more": "until: 1"}, ["outputs of /queue/sent"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("met", "missed", "how", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_an_expectation_is_met_or_says_what_was_found(run, met, missed, how, parts) -> None:
    of_met, of_missed = dict(how), dict(how)
    if isinstance(how.get("inputs"), tuple):
        of_met["inputs"], of_missed["inputs"] = how["inputs"]
    of_met, of_missed = ({k: v for k, v in given.items() if v is not None} for given in (of_met, of_missed))
    passed = run(met, **of_met)
    assert passed.verdict is Verdict.PASS, passed.text()
    assert passed.text() == ""
    failed = run(missed, **of_missed)
    assert failed.verdict is Verdict.FAIL
    for part in parts:
        assert part in failed.text(), failed.text()


def test_a_test_expects_nothing_that_it_does_not_name(run) -> None:
    result = run("", inputs=BOTH)
    assert [problem.what for problem in result.problems] == ["outputs of /queue/small", "outputs of /queue/sent"]


def test_both_at_once(run) -> None:
    assert run(BOTH_OUT, inputs=BOTH).passed


def test_the_init_messages_are_published_if_there_are_no_inputs(run) -> None:
    assert run(SENT, inputs="[]").passed
    assert run("", inputs="[]", more="init: false").passed
    assert run(BOTH_OUT, more="init: true").passed


def test_an_expectation_of_many_like_messages_finds_the_one_assignment(run) -> None:
    """The general expectation comes first, and may not take the message of the particular one."""
    wanted = "outputs: {/queue/sent: [{matches: {field: total, operator: gt, value: 1}}, {contains: {sent: true}}, {contains: {total: 20}}]}"
    assert run(wanted, inputs=TWO_KEYS).passed
