"""Durability of the names in a folder: what the system cannot do costs nothing, and what fails is told."""

import errno
import os

import pytest

from factflow_engine.adapters.builtin._staging import open_staging
from factflow_engine.syncing import sync_folder


@pytest.fixture
def folders_fail(monkeypatch):
    """A system whose fsync of a folder fails as told."""
    fsync = os.fsync

    def fail_with(number):
        def failing(descriptor):
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - the descriptor's own path
                raise OSError(number, os.strerror(number))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", failing)

    return fail_with


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_without_it_is_used_all_the_same(tmp_path, folders_fail, number):
    folders_fail(number)
    sync_folder(tmp_path)
    target = tmp_path / "out.jsonl"
    staging = open_staging(tmp_path / "staged", target, append=False, resumed=False, durable=True)
    staging.add({b"1": b"line\n"})
    staging.publish()
    staging.close()
    assert target.read_text() == "line\n"


def test_a_disk_that_fails_is_told(tmp_path, folders_fail):
    folders_fail(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_a_folder_that_cannot_be_looked_into_is_left(tmp_path, monkeypatch):
    def refused(*_arguments):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "open", refused)
    sync_folder(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")
