"""The header of dead letters: what is written is read, and the first time is not forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.dead_letters import HEADER, read_dead_letter, write_dead_letter
from factflow_protocols import LetterStaysError

FIELDS = st.fixed_dictionaries(
    {
        "route": st.text(min_size=1),
        "stage": st.none() | st.text(min_size=1),
        "queue": st.none() | st.text(min_size=1),
        "error_type": st.text(),
        "error": st.text(),
        "place": st.text(),
        "time_ns": st.integers(min_value=0, max_value=2**62),
        "config_hash": st.text(),
        "renames": st.booleans(),
    }
)


def message(attempt=1, **headers):
    return Frame.create(pack({"n": 1}), message_id=bytes(range(16)), time_ns=5, headers=headers).restamp(
        attempt=attempt
    )


@given(FIELDS, st.integers(min_value=1, max_value=1000))
def test_what_is_written_is_read(fields, attempts):
    frame = message(attempts, tenant="x")
    letter = Frame.decode(write_dead_letter(frame, **fields).encode())
    read = read_dead_letter("/queue/dlq", letter)
    assert (read.route, read.stage, read.queue) == (fields["route"], fields["stage"] or "", fields["queue"])
    assert (read.error_type, read.error, read.place, read.config_hash) == tuple(
        fields[k] for k in ("error_type", "error", "place", "config_hash")
    )
    assert (read.attempts, read.time_ns, read.first) == (attempts, fields["time_ns"], None)
    assert (letter.attempt, letter.time_ns, letter.payload) == (1, fields["time_ns"], frame.payload)
    restored = read.restored(fields["time_ns"] + 1)
    assert (restored.payload, dict(restored.headers)) == (frame.payload, {"tenant": "x"})


@given(FIELDS)
def test_a_letter_keeps_the_messages_id_unless_its_queue_refuses_ids_that_it_has_seen(fields):
    frame = message()
    letter = write_dead_letter(frame, **fields)
    again = write_dead_letter(frame, **{**fields, "error": "another", "time_ns": 0})
    assert (letter.message_id == frame.message_id) is not fields["renames"]
    assert letter.message_id == again.message_id


@given(st.lists(FIELDS, min_size=2, max_size=4))
def test_the_first_time_is_not_forgotten(times):
    frame = message()
    for fields in times:
        frame = write_dead_letter(frame, **fields)
    read = read_dead_letter("/queue/dlq", frame)
    assert read.error == times[-1]["error"]
    assert read.first is not None
    assert read.first["error"] == times[0]["error"]
    assert "first" not in read.first


@pytest.mark.parametrize(
    ("mine", "kept"),
    [
        ("mine", {HEADER: "mine"}),
        ({"a": 1}, {"a": 1}),
        ({"first": "mine"}, {"first": "mine"}),
        ({"first": None}, {"first": None}),
    ],
)
def test_a_header_of_somebody_elses_is_kept_and_the_letter_can_be_read(mine, kept):
    letter = write_dead_letter(
        message(**{HEADER: mine}),
        route="r", stage=None, queue="/queue/a", error_type="E", error="", place="", time_ns=5, config_hash="", renames=False,
    )  # fmt: skip
    read = read_dead_letter("/queue/dlq", Frame.decode(letter.encode()))
    assert (read.first, read.route, read.target(None)) == (kept, "r", "/queue/a")


def test_a_header_that_the_engine_did_not_write_is_no_letter():
    with pytest.raises(LetterStaysError, match="it has no map under the header"):
        read_dead_letter("/queue/dlq", message(**{HEADER: "mine"}))
    with pytest.raises(LetterStaysError, match="expected its 'route' to be str, got int"):
        read_dead_letter("/queue/dlq", message(**{HEADER: {"queue": "/queue/a", "route": 3}}))


def test_a_letter_of_an_earlier_version_with_somebody_elses_header_can_be_read():
    header = {"queue": "/queue/a", "route": "r", "first": "mine"}
    assert read_dead_letter("/queue/dlq", message(**{HEADER: header})).first == {HEADER: "mine"}
