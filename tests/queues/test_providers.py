"""The table of queue providers: schemes, other distributions' entry points, and what is said of those that cannot be used."""

import subprocess
import sys

import pytest

from factflow_engine.errors import QueueProviderError
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.providers import BUILT_IN_PROVIDERS, open_administration, open_queue
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_protocols import QueueUrlError
from support.distributions import open_site

FAKE = """
from factflow_engine.queues.memory import MemoryQueue
from factflow_protocols import QueueUrlError

class Fake(MemoryQueue):
    @classmethod
    def from_url(cls, url, *, directory=None):
        if "bad" in url:
            raise QueueUrlError(url, "write a good one")
        made = cls()
        made.url, made.directory = url, directory
        return made

class Broken:
    @classmethod
    def from_url(cls, url, *, directory=None):
        raise KeyError("port")

class Hollow:
    @classmethod
    def from_url(cls, url, *, directory=None):
        return cls()

value = 3
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    with open_site(tmp_path, monkeypatch) as made:
        made.module("fakes.py", FAKE)
        yield made


def test_the_built_in_providers_have_their_schemes(tmp_path):
    assert isinstance(open_queue("memory://"), MemoryQueue)
    queue = open_queue("sqlite:///q.db?capacity=7", directory=tmp_path)
    assert isinstance(queue, SqliteQueue)
    assert (queue.settings.path, queue.settings.capacity) == (tmp_path / "q.db", 7)
    assert list(tmp_path.iterdir()) == [], "nothing is opened"


def test_every_built_in_row_names_a_provider_that_judges_names():
    for scheme in BUILT_IN_PROVIDERS:
        url = f"{scheme}:///x" if scheme != "memory" else "memory://"
        assert open_queue(url).validate_name("/queue/a") is None


def test_a_distribution_adds_a_scheme_by_an_entry_point(site, tmp_path):
    site.distribution("fake-queues", "factflow.queues", fake="fakes:Fake")
    queue = open_queue("fake://host/x", directory=tmp_path)
    assert (type(queue).__name__, queue.url, queue.directory) == ("Fake", "fake://host/x", tmp_path)


def test_what_a_provider_says_of_its_url_comes_out_as_it_is(site):
    site.distribution("fake-queues", "factflow.queues", fake="fakes:Fake")
    with pytest.raises(QueueUrlError, match=r"queue URL 'fake://bad': write a good one"):
        open_queue("fake://bad")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", r"expected SCHEME://..., got no scheme; the schemes are fake, memory, sqlite"),
        ("jobs/q.db", r"expected SCHEME://..., got no scheme; write sqlite:///jobs/q.db for a file; the schemes are"),
        ("sqlit:///q.db", r"no queue provider has the scheme 'sqlit'; did you mean sqlite://\? the schemes are"),
        ("SQLITE:///q.db", r"did you mean sqlite://\?"),
        ("fakes://x", r"did you mean fake://\?"),
        ("", "got no scheme"),
        (
            "amqp://guest:secret@host",
            r"'amqp://guest:\*\*\*@host': no queue provider has the scheme 'amqp'; the schemes",
        ),
    ],
)
def test_an_unknown_scheme_is_answered_with_the_known_ones(site, url, said):
    site.distribution("fake-queues", "factflow.queues", fake="fakes:Fake")
    with pytest.raises(QueueUrlError, match=said) as raised:
        open_queue(url)
    assert raised.value.url == url
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("fakes:Broken", r"fakes:Broken could not read the URL: KeyError: 'port'"),
        ("fakes:Hollow", r"fakes:Hollow made Hollow of the URL, which has not all methods of QueueProtocol"),
        ("fakes:value", r"fakes:value names 3; expected a class with a class method from_url"),
        ("fakes:Gone", r"cannot be imported: AttributeError"),
        ("gone:Gone", r"cannot be imported: ModuleNotFoundError: No module named 'gone'$"),
        ("needy:Queue", r"cannot be imported: ModuleNotFoundError: No module named 'absent'$"),
        (
            "needy:Queue [wire]",
            r"No module named 'absent'; install it with what it needs: pip install 'fake-queues\[wire\]'",
        ),
        ("leaves:Queue", r"cannot be imported: SystemExit: bye"),
    ],
)
def test_a_provider_that_cannot_be_used_is_named_with_its_distribution(site, value, said):
    site.module("needy.py", "import absent\nclass Queue: pass\n")
    site.module("leaves.py", "import sys; sys.exit('bye')")
    site.distribution("fake-queues", "factflow.queues", fake=value)
    with pytest.raises(QueueProviderError, match=said) as raised:
        open_queue("fake://x")
    assert str(raised.value).startswith("queue provider 'fake' of fake-queues: ")
    assert (raised.value.scheme, raised.value.distribution) == ("fake", "fake-queues")
    assert open_queue("memory://") is not None, "others are not affected"


def test_two_distributions_with_one_scheme_are_both_named(site):
    site.module("more_fakes.py", FAKE)
    site.distribution("fake-queues", "factflow.queues", fake="fakes:Fake")
    site.distribution("more-queues", "factflow.queues", fake="more_fakes:Fake")
    with pytest.raises(QueueProviderError, match="uninstall one of them") as raised:
        open_queue("fake://x")
    assert {"fake-queues", "more-queues"} <= set(str(raised.value).replace(":", "").replace(";", " ").split())


def test_a_built_in_scheme_is_nobody_elses(site):
    site.distribution("fake-queues", "factflow.queues", memory="fakes:Fake")
    assert type(open_queue("memory://")) is MemoryQueue


def test_a_provider_without_administration_says_so():
    with pytest.raises(QueueUrlError, match="its provider MemoryQueue has no administration"):
        open_administration("memory://")


def test_a_provider_is_imported_when_a_url_asks_for_it():
    program = (
        "import sys, factflow_engine.queues.providers as providers\n"
        "before = 'factflow_engine.queues.sqlite' in sys.modules\n"
        "providers.open_queue('sqlite:///q.db')\n"
        "print(before, 'factflow_engine.queues.sqlite' in sys.modules, 'importlib.metadata' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["False", "True", "False"]
