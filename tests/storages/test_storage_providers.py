"""The table of object stores; that of queues, with the same code, is tested at length in `queues/test_providers.py`."""

import pytest

from factflow_engine import StorageProviderError, StorageUrlError, open_storage
from factflow_engine.seams import Seams
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.storages.providers import is_built_in
from support.distributions import open_site

FAKE = """
from factflow_engine.storages.memory import MemoryStorage

class Fake(MemoryStorage):
    @classmethod
    def from_url(cls, url, *, directory=None):
        return cls()

class Hollow:
    @classmethod
    def from_url(cls, url, *, directory=None):
        return cls()
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    with open_site(tmp_path, monkeypatch) as made:
        made.module("fakes.py", FAKE)
        yield made


def test_memory_is_built_in():
    assert isinstance(open_storage("memory://"), MemoryStorage)
    assert is_built_in("memory://")
    assert not is_built_in("ftp://x")


def test_a_distribution_adds_a_scheme_by_an_entry_point(site):
    site.distribution(
        "fake-stores", "factflow.storages", fake="fakes:Fake", hollow="fakes:Hollow", gone="gone:Gone [wire]"
    )
    assert type(open_storage("fake://x")).__name__ == "Fake"
    assert type(open_storage("fake://x", seams=Seams.real())).__name__ == "Fake", "seams are for built-in providers"
    with pytest.raises(
        StorageProviderError, match=r"storage provider 'hollow' of fake-stores: .* not all methods of StorageProtocol"
    ):
        open_storage("hollow://x")
    with pytest.raises(StorageProviderError, match=r"pip install 'fake-stores\[wire\]'"):
        open_storage("gone://x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("out/objects", r"expected SCHEME://..., got no scheme; write file://./out/objects for a folder; the schemes"),
        ("/var/objects", r"write file:///var/objects for a folder"),
        ("./objects", r"write file://./objects for a folder"),
        ("fil://x", r"no storage provider has the scheme 'fil'; "),
        ("ftp://me:secret@host/x", r"'ftp://me:\*\*\*@host/x'"),
        ("memory://name", r"write memory://"),
    ],
)
def test_a_wrong_url_is_answered_with_a_right_one(url, said):
    with pytest.raises(StorageUrlError, match=said) as raised:
        open_storage(url)
    assert "secret" not in str(raised.value)
