"""What the log says of damaged frames: per camera, how many of how many."""

import time

import pytest

from fer_worker.serving.damage_log import DamageLog


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_camera_has_a_line_per_minute_with_all_that_came(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    damages = DamageLog()
    damages.add("door-1", 4, [])
    assert caplog.messages == []
    damages.add("door-1", 4, ["cut", "torn"])
    damages.add("door-1", 4, ["cut"])
    clock[0] += 59
    damages.add("door-1", 4, ["cut"])
    assert caplog.messages == ["camera 'door-1': 2 of 8 frames were damaged; the last: torn"]
    clock[0] += 1
    damages.add("door-1", 4, [])
    damages.add("door-1", 4, ["gone"])
    assert caplog.messages[1:] == ["camera 'door-1': 3 of 16 frames were damaged; the last: gone"]


def test_cameras_are_counted_apart(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    damages = DamageLog()
    damages.add("a", 1, ["cut"])
    damages.add("b", 2, ["cut"])
    damages.add(None, 3, ["cut"])
    assert [message.split(";")[0] for message in caplog.messages] == [
        "camera 'a': 1 of 1 frames were damaged",
        "camera 'b': 1 of 2 frames were damaged",
        "frames without a camera_id: 1 of 3 frames were damaged",
    ]


def test_of_many_cameras_the_silent_ones_are_forgotten(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    damages = DamageLog()
    for number in range(1500):
        damages.add(f"camera-{number}", 1, [])
    damages.add("camera-0", 1, ["cut"])
    damages.add("camera-1499", 1, ["cut"])
    assert [message.split(" frames")[0] for message in caplog.messages] == [
        "camera 'camera-0': 1 of 1",
        "camera 'camera-1499': 1 of 2",
    ]
