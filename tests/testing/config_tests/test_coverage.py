"""Coverage: which goals a pipeline has, and exactly how often tests reach them."""

from factflow_engine.testing.config_tests.coverage import Coverage, document, percent, total

PIPELINE = """\
version: "1.0"
routes:
  orders:
    adapters:
      - {type: log}
      - {type: set_fields, config: {fields: {eu: true}}, condition: {field: country, operator: in, value: [DE, FR]}}
    outbound_mode: first
    outbound:
      - route: large
        condition:
          all_of:
            - {field: total, operator: gt, value: 100}
            - not: {field: test, operator: exists}
      - {route: eu, condition: {any_of: [{field: eu, operator: exists}, {any_element: {field: tags, condition: {field: "@", operator: eq, value: eu}}}]}}
      - {queue: /queue/rest, external: true}
  large: {adapters: [{type: log}]}
  eu: {adapters: [{type: log}]}
  never: {adapters: [{type: log}]}
"""
DE = "{route: orders, payload: {total: 5, country: DE}}"
LARGE = "{route: orders, payload: {total: 500}}"
TEST = "{route: orders, payload: {total: 500, test: 1}}"


def tests(*inputs: str) -> str:
    return f"tests:\n  - {{name: one, inputs: [{', '.join(inputs)}], expect: {{}}}}\n"


tests.__test__ = False  # type: ignore[attr-defined]


def coverage(suite, *inputs: str) -> Coverage:
    opened = suite(tests(*inputs), PIPELINE)
    found = Coverage(opened.config, str(opened.pipeline))
    found.add(opened)
    return found


def test_each_goal_is_counted(suite) -> None:
    found = coverage(suite, DE, LARGE, LARGE)
    assert [(goal.path.removeprefix("routes."), goal.what, goal.hits) for goal in found.goals] == [
        ("orders", "reached", 3),
        ("orders.adapters[1].condition", "true", 1),
        ("orders.adapters[1].condition", "false", 2),
        ("orders.adapters[1].condition", "true", 1),
        ("orders.adapters[1].condition", "false", 2),
        ("orders.outbound[0]", "taken", 2),
        ("orders.outbound[0]", "not taken", 1),
        ("orders.outbound[0].condition.all_of[0]", "true", 2),
        ("orders.outbound[0].condition.all_of[0]", "false", 1),
        ("orders.outbound[0].condition.all_of[1].not", "true", 0),
        ("orders.outbound[0].condition.all_of[1].not", "false", 3),
        ("orders.outbound[1]", "taken", 1),
        ("orders.outbound[1]", "not taken", 0),  # the messages that it would not take have gone to the first
        ("orders.outbound[1].condition.any_of[0]", "true", 1),
        ("orders.outbound[1].condition.any_of[0]", "false", 2),
        ("orders.outbound[1].condition.any_of[1]", "true", 0),
        ("orders.outbound[1].condition.any_of[1]", "false", 3),
        ("orders.outbound[2]", "taken", 0),
        ("large", "reached", 2),
        ("eu", "reached", 1),
        ("never", "reached", 0),
    ]
    assert found.counts() == {
        "routes": (3, 4), "outbounds": (3, 5), "stage conditions": (2, 2), "comparisons": (8, 10),
    }  # fmt: skip
    assert percent(found.counts()) == 100 * 16 / 21


def test_more_tests_reach_more(suite) -> None:
    found = coverage(suite, DE, LARGE, TEST, "{route: orders, payload: {tags: [eu]}}")
    assert [(goal.path, goal.what, goal.line) for goal in found.missed] == [("routes.never", "reached", 18)]
    assert {
        goal.line for goal in found.goals if goal.path.startswith("routes.orders.outbound[0].condition.all_of[1]")
    } == {13}


def test_no_test_reaches_nothing(suite) -> None:
    found = coverage(suite, "{route: never, payload: 1}")
    assert [goal.path for goal in found.goals if goal.hits] == ["routes.never"]
    assert {kind: of for kind, (_, of) in found.counts().items()} == {
        "routes": 4,
        "outbounds": 5,
        "stage conditions": 2,
        "comparisons": 10,
    }


def test_the_document_has_every_goal(suite) -> None:
    found = coverage(suite, DE)
    written = document([found])
    assert written["percent"] == round(percent(total([found])), 2)
    [pipeline] = written["pipelines"]
    assert len(pipeline["goals"]) == len(found.goals) == 21
    assert pipeline["counts"]["routes"] == {"reached": 2, "total": 4}
    assert pipeline["goals"][1] == {
        "kind": "stage conditions", "path": "routes.orders.adapters[1].condition", "line": 6, "what": "true",
        "text": "orders/set_fields", "hits": 1,
    }  # fmt: skip


def test_a_pipeline_without_goals_is_covered() -> None:
    assert percent({}) == 100


def test_literals_are_shown_as_they_are_written(suite) -> None:
    text = PIPELINE.replace("{field: eu, operator: exists}", "{field: eu, operator: eq, value: true}")
    opened = suite(tests(DE), text)
    found = {goal.text for goal in Coverage(opened.config, "").goals}
    assert {"eu eq true", 'country in ["DE", "FR"]', "total gt 100"} <= found
