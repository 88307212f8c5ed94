"""What a controller sends and what it gets back, over a real RabbitMQ, by the contract alone."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgpack
import pika
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import Emotion, ErrorCode, FaceSelection, FrameEmotion, Status
from fer_worker.inference.types import Analysis
from fer_worker.limits import DamagedFrames, FrameLimits, Limits
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.responder import REPLY_PATIENCE_S
from tests.engines import ABORTING_HEIGHT, BrokenEngine, GatedEngine, SizeEngine, plain_jpeg
from tests.jpegs import BASELINE, flat_jpeg
from tests.serving import Sender, request, serving, supervising
from tests.waiting import wait_until

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(60)
NO_EMOTION = FrameEmotion(emotion=None, confidence=0.0)


def as_json(fields: dict[str, Any]) -> bytes:
    frames = [
        {**frame, "jpeg": base64.b64encode(frame["jpeg"]).decode()} for frame in fields["frames"]
    ]
    return json.dumps({**fields, "frames": frames}).encode()


def test_msgpack_batch_is_answered_under_its_correlation_id(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        sent = sender.send(request(plain_jpeg(50), plain_jpeg(70), camera_id="door-1"))
        result = sender.receive(sent)
    assert result.status is Status.SUCCESS
    assert result.emotions == (FrameEmotion(emotion=Emotion.HAPPY, confidence=0.9),) * 2
    assert result.faces_areas == (50 * 40, 70 * 40)
    assert result.most_relevant_frame == 1
    assert result.camera_id == "door-1"
    assert [(frame.width, frame.height) for frame in result.frames] == [(50, 40), (70, 40)]
    assert not result.redelivered
    assert result.worker == "test/1"


def test_json_batch_is_answered(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine()):
        sent = sender.send(as_json(request(JPEG, JPEG)), "application/json; charset=utf-8")
        assert sender.receive(sent).faces_areas == (2400, 2400)


def test_raw_jpeg_is_answered_with_its_headers(broker: BrokerConfig, sender: Sender) -> None:
    headers = {"version": 1, "camera_id": "door-2", "id": "f-17", "faces": "all"}
    engine = SizeEngine()
    with serving(broker, engine):
        result = sender.receive(sender.send(JPEG, "image/jpeg", headers=headers))
    assert result.faces_areas == (2400,)
    assert (result.camera_id, result.frames[0].id) == ("door-2", "f-17")
    assert engine.faces_asked == ["all"]


def test_raw_jpeg_needs_no_headers(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine()):
        assert sender.receive(sender.send(JPEG, "image/jpeg")).status is Status.SUCCESS


def test_message_straight_into_the_queue_is_answered(broker: BrokerConfig, sender: Sender) -> None:
    properties = pika.BasicProperties(
        content_type="image/jpeg", correlation_id="c", reply_to=sender.reply_to
    )
    sender.channel.basic_publish("", f"{broker.namespace}.frames", JPEG, properties)
    with serving(broker, SizeEngine()):
        assert sender.receive("c").status is Status.SUCCESS


def test_time_in_the_queue_is_told_where_the_sender_says_when_it_sent(
    broker: BrokerConfig, sender: Sender
) -> None:
    ago = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    with serving(broker, SizeEngine()):
        with_time = sender.receive(sender.send(request(JPEG, sent_at=ago)))
        without = sender.receive(sender.send(request(JPEG)))
    assert with_time.timings_ms is not None
    assert with_time.timings_ms.queued is not None
    assert 5000 <= with_time.timings_ms.queued < 60_000
    assert without.timings_ms is not None
    assert without.timings_ms.queued is None


BAD_MESSAGES: list[tuple[bytes | dict[str, Any], str | None, ErrorCode]] = [
    (b"\xc1", "application/msgpack", ErrorCode.MALFORMED_BODY),
    (msgpack.packb(request(JPEG))[:-3], "application/msgpack", ErrorCode.MALFORMED_BODY),
    (b"\x91" * 100_000, "application/msgpack", ErrorCode.MALFORMED_BODY),
    (b"{", "application/json", ErrorCode.MALFORMED_BODY),
    (b"[" * 10_000, "application/json", ErrorCode.MALFORMED_BODY),
    (b"[" * 100_000, "application/json", ErrorCode.INVALID_REQUEST),
    (b"", "application/json", ErrorCode.MALFORMED_BODY),
    (b'{"version":1,"frames":[{"jpeg":"?"}]}', "application/json", ErrorCode.INVALID_REQUEST),
    (JPEG, "image/png", ErrorCode.UNKNOWN_CONTENT_TYPE),
    (JPEG, None, ErrorCode.UNKNOWN_CONTENT_TYPE),
    (request(), "application/msgpack", ErrorCode.NO_FRAMES),
    (request(*[JPEG] * 65), "application/msgpack", ErrorCode.TOO_MANY_FRAMES),
    ({**request(JPEG), "version": 2}, "application/msgpack", ErrorCode.UNSUPPORTED_VERSION),
    (
        {**request(JPEG), "version": 2, "new": 1},
        "application/msgpack",
        ErrorCode.UNSUPPORTED_VERSION,
    ),
    (request(JPEG, colour="red"), "application/msgpack", ErrorCode.INVALID_REQUEST),
    (request(JPEG, camera_id="x" * 129), "application/msgpack", ErrorCode.INVALID_REQUEST),
    (request(JPEG, deadline=1.5), "application/msgpack", ErrorCode.INVALID_REQUEST),
    (msgpack.packb(["frames"]), "application/msgpack", ErrorCode.INVALID_REQUEST),
]


@pytest.mark.parametrize(("body", "content_type", "code"), BAD_MESSAGES)
def test_bad_message_is_answered_with_its_code_and_kept(
    broker: BrokerConfig,
    sender: Sender,
    body: bytes | dict[str, Any],
    content_type: str | None,
    code: ErrorCode,
) -> None:
    with serving(broker, SizeEngine()):
        result = sender.receive(sender.send(body, content_type))
        properties, kept = sender.take(f"{broker.namespace}.frames.dead")
        assert sender.receive(sender.send(request(JPEG))).status is Status.SUCCESS
    assert result.status is Status.ERROR
    assert [(error.frame, error.code) for error in result.errors] == [(None, code)]
    assert (result.emotions, result.faces_areas) == ((), ())
    assert kept == (msgpack.packb(body) if isinstance(body, dict) else body)
    assert properties.headers is not None
    assert properties.headers["x-reason"] == code
    assert properties.headers["x-first-queue"] == f"{broker.namespace}.frames"
    assert sender.depth(f"{broker.namespace}.frames") == 0


def test_message_over_the_limit_is_answered_and_kept(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine(), limits=Limits(max_bytes=1000)):
        result = sender.receive(sender.send(request(b"x" * 1000)))
        sender.take(f"{broker.namespace}.frames.dead")
    assert result.errors[0].code is ErrorCode.MESSAGE_TOO_LARGE


def test_missing_correlation_id_is_answered_only_where_a_reply_queue_is_named(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        sender.send(request(JPEG), correlation_id=None)
        properties, body = sender.take()
        assert properties.correlation_id is None
        assert json.loads(body)["errors"][0]["code"] == "missing_correlation_id"
        sender.take(f"{broker.namespace}.frames.dead")

        sender.send(request(JPEG), correlation_id=None, reply_to=None)
        properties, _ = sender.take(f"{broker.namespace}.frames.dead")
        assert properties.headers is not None
        assert properties.headers["x-reason"] == "missing_correlation_id"
    assert sender.depth(f"{broker.namespace}.results") == 0


@pytest.mark.parametrize("own", ["frames", "frames.quarantine", "frames.dead", "control.1"])
def test_reply_to_one_of_the_workers_queues_is_refused(
    broker: BrokerConfig, sender: Sender, own: str
) -> None:
    with serving(broker, SizeEngine()):
        sender.send(request(JPEG), reply_to=f"{broker.namespace}.{own}")
        properties, _ = sender.take(f"{broker.namespace}.frames.dead")
        assert sender.receive(sender.send(request(JPEG))).status is Status.SUCCESS
    assert properties.headers is not None
    assert properties.headers["x-reason"] == "forbidden_reply_to"
    assert [sender.depth(f"{broker.namespace}.{name}") for name in ("frames", "results")] == [0, 0]


def test_frame_that_is_a_text_file_makes_a_partial_result_and_nothing_is_dead_lettered(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        result = sender.receive(sender.send(request(JPEG, b"Dear Sir or Madam", JPEG)))
    assert result.status is Status.PARTIAL
    assert [(error.frame, error.code) for error in result.errors] == [(1, ErrorCode.NOT_A_JPEG)]
    assert result.emotions[1] == NO_EMOTION
    assert result.faces_areas == (2400, 0, 2400)
    assert result.frames[1].width is None
    assert sender.depth(f"{broker.namespace}.frames.dead") == 0


def test_batch_of_bad_frames_is_an_error_of_each_frame(
    broker: BrokerConfig, sender: Sender
) -> None:
    limits = Limits(frame=FrameLimits(max_bytes=2000, max_pixels=60 * 40))
    bad = [b"", b"\x89PNG\r\n", JPEG[:-10], plain_jpeg(60, 60), plain_jpeg(8, 8), bytes(2001)]
    with serving(broker, SizeEngine(), limits=limits):
        result = sender.receive(sender.send(request(*bad)))
    assert result.status is Status.ERROR
    assert result.most_relevant_frame is None
    assert [error.frame for error in result.errors] == list(range(6))
    assert [error.code for error in result.errors] == [
        ErrorCode.EMPTY_FRAME,
        ErrorCode.NOT_A_JPEG,
        ErrorCode.DAMAGED_JPEG,
        ErrorCode.TOO_MANY_PIXELS,
        ErrorCode.FRAME_TOO_SMALL,
        ErrorCode.FRAME_TOO_LARGE,
    ]


def test_damaged_frame_is_refused_or_analysed_and_marked(
    broker: BrokerConfig, sender: Sender
) -> None:
    tall = JPEG.index(b"\xff\xc0") + 5
    damaged = JPEG[:tall] + (400).to_bytes(2) + JPEG[tall + 2 :]
    answers = []
    for limits in (Limits(), Limits(frame=FrameLimits(damaged="analyze"))):
        meter = MetricsRecorder()
        with serving(broker, SizeEngine(), limits=limits, meter=meter):
            result = sender.receive(sender.send(request(JPEG, damaged)))
        answers.append(result)
        assert result.status is Status.PARTIAL
        assert [(error.frame, error.code) for error in result.errors] == [
            (1, ErrorCode.DAMAGED_JPEG)
        ]
        assert [frame.damaged for frame in result.frames] == [False, True]
        assert meter.counts.totals["damaged_frames"] == 1
    refused, marked = answers
    assert (refused.emotions[1], refused.faces_areas[1]) == (NO_EMOTION, 0)
    assert refused.frames[1].height is None
    assert (marked.emotions[1].emotion, marked.frames[1].height) == (Emotion.HAPPY, 400)


@pytest.mark.parametrize(
    ("kind", "status"), [("refuse", Status.ERROR), ("analyze", Status.PARTIAL)]
)
def test_batch_whose_only_frame_is_damaged_and_analysed_is_partial(
    broker: BrokerConfig, sender: Sender, kind: DamagedFrames, status: Status
) -> None:
    tall = JPEG.index(b"\xff\xc0") + 5
    damaged = JPEG[:tall] + (400).to_bytes(2) + JPEG[tall + 2 :]
    limits = Limits(frame=FrameLimits(damaged=kind))
    with serving(broker, SizeEngine(), limits=limits):
        assert sender.receive(sender.send(request(damaged))).status is status


def test_batch_of_too_many_pixels_is_refused_as_a_whole_before_any_frame_is_decoded(
    broker: BrokerConfig, sender: Sender
) -> None:
    engine = SizeEngine()
    bomb = flat_jpeg(BASELINE, 7680, 5200, data=b"")  # a frame may have as many: 40 million
    with serving(broker, engine):
        result = sender.receive(sender.send(request(JPEG, *[bomb] * 63)))
    assert result.status is Status.ERROR
    assert [(error.frame, error.code) for error in result.errors] == [
        (None, ErrorCode.TOO_MANY_PIXELS_IN_BATCH)
    ]
    assert result.errors[0].message == "the batch has 2515970400 pixels; 160000000 are accepted"
    assert engine.analysed == 0
    properties, _ = sender.take(f"{broker.namespace}.frames.dead")
    assert properties.headers["x-reason"] == "too_many_pixels_in_batch"


def test_batch_of_64_frames_at_1080p_is_not_too_large(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine()):
        result = sender.receive(sender.send(request(*[flat_jpeg(BASELINE, 1920, 1080)] * 64)))
    assert result.faces_areas == (1920 * 1080,) * 64


def test_frame_refused_by_itself_has_no_part_in_the_pixels_of_its_batch(
    broker: BrokerConfig, sender: Sender
) -> None:
    limits = Limits(max_pixels=2 * 60 * 40, frame=FrameLimits(max_pixels=60 * 40))
    with serving(broker, SizeEngine(), limits=limits):
        result = sender.receive(sender.send(request(JPEG, plain_jpeg(600, 400), b"text", JPEG)))
        one_more = sender.receive(sender.send(request(JPEG, JPEG, JPEG)))
    assert [(error.frame, error.code) for error in result.errors] == [
        (1, ErrorCode.TOO_MANY_PIXELS),
        (2, ErrorCode.NOT_A_JPEG),
    ]
    assert result.faces_areas == (2400, 0, 0, 2400)
    assert [error.code for error in one_more.errors] == [ErrorCode.TOO_MANY_PIXELS_IN_BATCH]


def test_fault_of_the_engine_is_an_error_without_its_secrets(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, BrokenEngine()):
        result = sender.receive(sender.send(request(JPEG)))
    assert [error.code for error in result.errors] == [ErrorCode.INTERNAL_ERROR]
    assert "secret" not in result.model_dump_json()


def test_thread_of_the_pool_outlives_whatever_an_engine_raises(
    broker: BrokerConfig, sender: Sender
) -> None:
    class LeavingEngine(SizeEngine):
        def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
            if self.analysed == 0:
                self.analysed += 1
                raise SystemExit("as some libraries do")
            return super().analyze(image, faces)

    with serving(broker, LeavingEngine(), threads=1):
        first = sender.receive(sender.send(request(JPEG)))
        second = sender.receive(sender.send(request(JPEG)))
    assert [error.code for error in first.errors] == [ErrorCode.INTERNAL_ERROR]
    assert second.status is Status.SUCCESS


def test_result_without_reply_to_waits_among_the_results(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        sent = sender.send(request(JPEG), reply_to=None)
        result = sender.receive(sent, queue=f"{broker.namespace}.results")
    assert result.status is Status.SUCCESS


def test_result_whose_reply_queue_is_gone_waits_among_the_results(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        sent = sender.send(request(JPEG), reply_to="gone")
        properties, body = sender.take(f"{broker.namespace}.results")
    assert properties.correlation_id == sent
    assert properties.headers is not None
    assert properties.headers["x-reply-to"] == "gone"
    assert json.loads(body)["status"] == "success"


def full_queue(sender: Sender) -> str:
    name = sender.channel.queue_declare(
        "", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    ).method.queue
    sender.channel.basic_publish("", name, b"in the way")
    assert isinstance(name, str)
    return name


def test_full_reply_queue_is_tried_again_until_there_is_room(
    broker: BrokerConfig, sender: Sender
) -> None:
    queue = full_queue(sender)
    engine = SizeEngine()
    with serving(broker, engine):
        sent = sender.send(request(JPEG), reply_to=queue)
        wait_until(lambda: engine.analysed == 1)
        assert sender.take(queue)[1] == b"in the way"
        assert sender.receive(sent, queue=queue).status is Status.SUCCESS
    assert engine.analysed == 1


def test_result_from_quarantine_does_not_wait_for_a_full_reply_queue(
    broker: BrokerConfig, sender: Sender
) -> None:
    queue = full_queue(sender)
    with supervising(broker, examine_with="SizeEngine"):
        properties = pika.BasicProperties(
            content_type="application/msgpack",
            correlation_id="innocent",
            reply_to=queue,
            delivery_mode=2,
            headers={"x-quarantined": True},
        )
        body = msgpack.packb(request(JPEG))
        sender.channel.basic_publish("", f"{broker.namespace}.frames.quarantine", body, properties)
        # Where others would still try.
        taken, _ = sender.take(f"{broker.namespace}.results", timeout_s=REPLY_PATIENCE_S / 2)
    assert taken.correlation_id == "innocent"


def test_result_whose_reply_queue_stays_full_waits_among_the_results(
    broker: BrokerConfig, sender: Sender
) -> None:
    queue = full_queue(sender)
    with serving(broker, SizeEngine()):
        sender.send(request(JPEG), reply_to=queue)
        properties, _ = sender.take(f"{broker.namespace}.results", timeout_s=30)
    assert properties.headers is not None
    assert properties.headers["x-reply-to"] == queue


def test_redelivered_request_is_answered_by_way_of_quarantine(
    broker: BrokerConfig, sender: Sender
) -> None:
    sent = sender.send(request(JPEG), headers={"CC": [f"{broker.namespace}.results"], "mine": 1})
    with Sender(broker.urls[0], broker.namespace) as crashing:
        assert crashing.channel.basic_get(f"{broker.namespace}.frames")[0] is not None
    with serving(broker, SizeEngine()), supervising(broker, examine_with="SizeEngine"):
        result = sender.receive(sent)
    assert result.status is Status.SUCCESS
    assert result.redelivered
    # The sender's own CC made one copy when it published; moving the message makes no more.
    assert sender.depth(f"{broker.namespace}.results") <= 1


def test_request_that_every_examiner_dies_of_is_poison(
    broker: BrokerConfig, sender: Sender
) -> None:
    quarantine = f"{broker.namespace}.frames.quarantine"
    deadly = plain_jpeg(60, ABORTING_HEIGHT)
    properties = pika.BasicProperties(
        correlation_id="deadly", reply_to=sender.reply_to, content_type="image/jpeg"
    )
    sender.channel.basic_publish("", quarantine, deadly, properties)
    with supervising(broker, examine_with="FaultyEngine"):
        result = sender.receive("deadly")
        kept, _ = sender.take(f"{broker.namespace}.frames.dead")
    assert [error.code for error in result.errors] == [ErrorCode.POISON_MESSAGE]
    assert kept.headers is not None
    assert kept.headers["x-reason"] == "poison_message"
    assert kept.headers["x-first-queue"] == quarantine


def test_nothing_is_acked_before_its_reply_is_confirmed(
    broker: BrokerConfig, sender: Sender
) -> None:
    engine = GatedEngine()
    with serving(broker, engine, prefetch=1):
        first = sender.send(request(JPEG))
        assert engine.entered.wait(20)
        second = sender.send(request(JPEG))
        # With a prefetch of 1 the second one waits for as long as the first is unacked.
        assert sender.depth(f"{broker.namespace}.frames") == 1
        engine.gate.set()
        assert sender.receive(first).status is Status.SUCCESS
        assert sender.receive(second).status is Status.SUCCESS
