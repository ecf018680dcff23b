"""Our stores of objects and of lineage pass `check_storage_provider` and `check_lineage_sink`, with their servers.

Stores that are wrong in one way for each check are in `test_wrong_storages` and `test_lineage_checks_fail`.
"""

import boto3
import pytest

from factflow_engine import open_lineage, open_storage
from factflow_engine.testing import (
    DURABLE_STORAGE_CHECKS,
    LINEAGE_CHECKS,
    STORAGE_CHECKS,
    check_lineage_sink,
    check_name,
    check_storage_provider,
)
from support.s3_server import ENVIRONMENT, s3_server


@pytest.fixture
def bucket(monkeypatch):
    """The name of a bucket on an S3 server, which the environment names."""
    with s3_server() as endpoint:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT": endpoint}.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="checks")
        yield "checks"


def passed(report):
    """The names of the checks that passed, but for the opening; none may have failed."""
    report.raise_if_failed()
    return [result.name for result in report.passed][1:]


def test_memory():
    report = check_storage_provider(lambda folder: open_storage("memory://"), durable=False)
    assert passed(report) == list(map(check_name, STORAGE_CHECKS))
    assert [result.name for result in report.not_applicable] == list(map(check_name, DURABLE_STORAGE_CHECKS))


def test_a_store_that_claims_to_be_durable_and_is_not_fails():
    report = check_storage_provider(lambda folder: open_storage("memory://"))
    assert [result.name for result in report.failed] == list(map(check_name, DURABLE_STORAGE_CHECKS))


def test_files():
    report = check_storage_provider(lambda folder: open_storage(f"file://{folder}/objects"))
    assert passed(report) == list(map(check_name, STORAGE_CHECKS + DURABLE_STORAGE_CHECKS))


def test_s3(bucket):
    report = check_storage_provider(lambda folder: open_storage(f"s3://{bucket}/{folder.name}"))
    assert passed(report) == list(map(check_name, STORAGE_CHECKS + DURABLE_STORAGE_CHECKS))


def test_sqlite_lineage():
    report = check_lineage_sink(lambda folder: open_lineage(f"sqlite:///{folder}/lineage"))
    assert passed(report) == list(map(check_name, LINEAGE_CHECKS))


def test_postgres_lineage(postgres):
    report = check_lineage_sink(lambda folder: open_lineage(f"{postgres.url}?schema={folder.name}"))
    assert passed(report) == list(map(check_name, LINEAGE_CHECKS))
