"""Messages of a newer version: what is known of them is read, the rest is kept or ignored."""

import pickle

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from fer_client import BatchResult, FerClient
from fer_client.amqp.codec import decode_result
from fer_client.config import BrokerConfig
from fer_schemas import (
    CONTROL_COMMAND,
    CONTROL_REPLY,
    BatchRequest,
    ErrorCode,
    ScaleCommand,
    Status,
    StatusQuery,
    SupervisorStatus,
)
from tests.engines import plain_jpeg
from tests.serving import Sender

NEWER_RESULT = b"""{
    "status": "postponed", "worker": "host/1", "later_field": 1,
    "errors": [{"frame": null, "code": "lens_covered", "message": "?", "hint": "wipe"}],
    "engine": {"name": "later", "faces": "all", "detector_color": "yuv", "crop": "oval",
               "min_face_probability": 0.9, "min_face_size": 20, "later_option": true}
}"""

NEWER_STATUS = b"""{
    "kind": "status", "host": "edge-2", "pid": 1, "software": "9", "engine": "later", "desired": 1,
    "restarts": 0, "later_field": [],
    "processes": [{"pid": 2, "state": "resting", "uptime_s": 1, "batches": 0, "frames": 0,
                   "in_flight": 0, "later_field": 0}]
}"""


def test_unknown_words_of_a_result_are_kept_as_text() -> None:
    result = decode_result(NEWER_RESULT)
    assert result.status == "postponed"
    assert result.status.value == "postponed"
    assert result.status not in list(Status)
    assert [error.code for error in result.errors] == ["lens_covered"]
    assert result.engine is not None
    assert (result.engine.crop, result.engine.detector_color) == ("oval", "yuv")


def test_a_newer_result_survives_writing_and_pickling() -> None:
    result = decode_result(NEWER_RESULT)
    assert decode_result(result.model_dump_json().encode()) == result
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("word", [Status, ErrorCode])
def test_a_word_that_is_no_text_is_refused(word: type[Status | ErrorCode]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(word).validate_python(1)


def test_known_words_stay_what_they_are() -> None:
    assert Status("success") is Status.SUCCESS
    assert "postponed" not in Status.__members__
    assert len(Status) == 4


def test_an_unknown_state_of_a_process_is_kept_as_text() -> None:
    status = CONTROL_REPLY.validate_json(NEWER_STATUS)
    assert isinstance(status, SupervisorStatus)
    assert [process.state for process in status.processes] == ["resting"]


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (b'{"kind":"status","since":1}', StatusQuery()),
        (b'{"kind":"scale","change":1,"why":"night"}', ScaleCommand(change=1)),
    ],
)
def test_a_newer_command_is_read_for_what_is_known(body: bytes, command: BaseModel) -> None:
    assert CONTROL_COMMAND.validate_json(body) == command


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"restart"}',
        b'{"since":1}',
        b'{"kind":"scale","why":"night"}',
        b'{"kind":"scale","processes":"4"}',
        b"[]",
    ],
)
def test_what_is_no_command_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        CONTROL_COMMAND.validate_json(body)


def test_requests_stay_strict() -> None:
    with pytest.raises(ValidationError, match="later_field"):
        BatchRequest.model_validate({"version": 1, "frames": [{"jpeg": b"x"}], "later_field": 1})


@pytest.mark.broker
def test_a_client_reads_the_answer_of_a_newer_worker(broker: BrokerConfig) -> None:
    with FerClient(broker) as client, Sender(broker.urls[0], broker.namespace) as sender:
        future = client.submit([plain_jpeg(50)])
        asked, _ = sender.take(f"{broker.namespace}.frames")
        assert asked.reply_to is not None
        sender.channel.basic_publish("", asked.reply_to, NEWER_RESULT, asked)
        result: BatchResult = future.result(10)
    assert result.status == "postponed"
