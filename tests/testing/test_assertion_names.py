"""Names of `sometimes` that are read from sources."""

from factflow_engine.testing import CampaignTotals, adapter_of, sometimes_in
from factflow_protocols import AdapterResult, PipelineAdapter, assertions, declare_sometimes, sometimes


class Base(PipelineAdapter):
    def helper(self, context):
        sometimes(context.attempt > 1, "of a base")


class Reads(Base):
    def __init__(self):
        declare_sometimes("declared", "declared too")

    def process(self, context):
        if context.key == "never":
            sometimes(True, "not reached")
        assertions.sometimes(True, name="by its name")
        sometimes(True, f"put together {context.key}")
        print("sometimes(True, 'a text')")
        return AdapterResult.forward()


def process(context):
    def inner():
        sometimes(True, "inside")

    return AdapterResult.forward()


def test_names_are_found_in_classes_bases_and_functions_without_running_them():
    of_class = ("by its name", "declared", "declared too", "not reached", "of a base")
    assert sometimes_in(Reads) == of_class
    assert sometimes_in(process) == sometimes_in(adapter_of(process)) == ("inside",)
    assert sometimes_in(Base, process) == ("inside", "of a base")


def test_code_without_a_source_has_no_names():
    made = {}
    exec("def function(context): sometimes(True, 'unseen')", made)
    assert sometimes_in(made["function"], len, dict) == ()
    assert sometimes_in(*[lambda context: sometimes(True, "in a lambda")]) in {(), ("in a lambda",)}


def test_a_campaign_finds_a_line_that_no_run_has_reached():
    totals = CampaignTotals(sometimes=sometimes_in(Reads))
    assert "sometimes 'not reached' was never reached in 0 runs" in [str(each) for each in totals.finish()]
