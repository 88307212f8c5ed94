import pika
import pytest

from fer_client.amqp.consumer import Delivery
from fer_client.amqp.topology import Topology
from fer_worker.admin.dead_letters import identify
from fer_worker.cli.tables import plain
from fer_worker.serving.dead_letter import to_request
from fer_worker.serving.request_decoder import read_camera_id
from tests.engines import plain_jpeg


def delivery(body: bytes = b"", **properties: object) -> Delivery:
    return Delivery("q", "", body, pika.BasicProperties(**properties), False, 1, channel=None)


def test_id_is_that_of_the_message_and_not_of_its_publisher() -> None:
    publisher = "0123456789abcdef0123456789abcdef"
    ids = {identify(delivery(message_id=f"{publisher}.{number}")) for number in range(10_000)}
    assert len(ids) == 10_000
    assert {len(id_) for id_ in ids} == {12}
    assert identify(delivery(b"a", message_id="x")) == identify(delivery(b"b", message_id="x"))


def test_message_without_an_id_is_named_by_its_body() -> None:
    assert identify(delivery(b"a")) == identify(delivery(b"a")) != identify(delivery(b"b"))


def test_to_requestd_request_has_its_senders_headers_only() -> None:
    headers = {
        "mine": 1,
        "x-mine": 2,
        "x-reason": "no_frames",
        "x-reason-text": "",
        "x-dead-lettered-at": "",
        "x-dead-lettered-by": "",
        "x-first-queue": "",
        "x-quarantined": True,
        "x-death": [{}],
        "x-first-death-queue": "",
        "x-last-death-reason": "",
        "x-delivery-count": 7,
        "CC": ["elsewhere"],
    }
    dead_lettered = delivery(
        b"body", headers=headers, message_id="m", correlation_id="c", reply_to="r"
    )
    message = to_request(dead_lettered, Topology("site-a"))
    assert (message.exchange, message.routing_key) == ("site-a.requests", "frames")
    assert message.body == b"body"
    assert message.properties.headers == {"mine": 1, "x-mine": 2}
    assert (message.properties.correlation_id, message.properties.reply_to) == ("c", "r")
    assert message.properties.message_id is None


def test_to_request_keeps_a_header_whose_name_is_no_utf8() -> None:
    headers = {b"\xff": 1, "mine": 2, "x-death": [{}]}
    message = to_request(delivery(headers=headers), Topology("site-a"))
    assert message.properties.headers == {b"\xff": 1, "mine": 2}


@pytest.mark.parametrize(
    ("body", "content_type", "headers", "camera"),
    [
        (b'{"camera_id": "a", "unknown": 1}', "application/json; charset=utf-8", {}, "a"),
        (b"\x81\xa9camera_id\xa1b", "application/msgpack", {}, "b"),
        (plain_jpeg(30), "image/jpeg", {"camera_id": "c"}, "c"),
        (b"", None, {"camera_id": "d"}, "d"),
        (b'{"camera_id": 7}', "application/json", {}, None),
        (b"[1]", "application/json", {}, None),
        (b"[" * 100_000, "application/json", {}, None),
        (b"\xc1", "application/msgpack", {}, None),
    ],
)
def test_camera_is_read_from_what_is_no_valid_request_too(
    body: bytes, content_type: str | None, headers: dict[str, object], camera: str | None
) -> None:
    assert read_camera_id(body, content_type, headers) == camera


def test_words_of_others_do_not_steer_the_terminal() -> None:
    assert str(plain("[red]\x1b[31mdoor\u202e\n")) == "[red]\\x1b[31mdoor\\u202e\\n"
