from pathlib import Path

import pytest

from fer_client.config import BrokerConfig, mask_password
from fer_client.errors import FerWorkerError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:secret@host/", "amqp://user:***@host/"),
        ("amqps://user:s%3Acret@host:5671/v", "amqps://user:***@host:5671/v"),
        ("amqp://user:se/c@r:et@host/", "amqp://user:***@host/"),
        ("amqp://host/", "amqp://host/"),
    ],
)
def test_password_is_masked(url: str, shown: str) -> None:
    assert mask_password(url) == shown


def test_password_is_in_no_text_of_the_configuration() -> None:
    config = BrokerConfig.from_url("amqp://a:secret@one/, amqp://a:secret@two/")
    assert len(config.urls) == 2
    assert "secret" not in f"{config} {config!r}"


@pytest.mark.parametrize("url", ["", "http://u:secret@h/", "amqp://u:secret@h:port/", "secret"])
def test_url_that_is_none_is_one_clear_line(url: str) -> None:
    with pytest.raises(FerWorkerError, match="AMQP URL") as caught:
        BrokerConfig.from_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://us/er:secret@host/",
        "amqp://user:sec@ret:secret@host/",
        "amqp://user:secret@host/?ssl_options={'password': 'secret'}",
        "amqp://user:sec?ret/secret@host/",
        "amqp://user:x@host/?heartbeat=secret@y",
    ],
)
def test_password_is_masked_wherever_it_is(url: str) -> None:
    assert "secret" not in mask_password(url)
    assert mask_password(url).startswith("amqp://us")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://10.0.0.1:554/x?user=a@b&password=secret", "rtsp://10.0.0.1:***"),
        ("http://camera/cgi?usr=admin&pwd=sec@secret", "http://camera:***"),
        ("http://me:se?cr@et@camera/cgi", "http://me:***"),
    ],
)
def test_nothing_is_shown_of_an_address_from_where_it_is_ambiguous(
    address: str, shown: str
) -> None:
    assert mask_password(address) == shown


def test_url_can_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("amqp://a:secret@one/,\namqp://a:secret@two/\n")
    config = BrokerConfig.from_file(file, "site-a")
    assert config.urls == ("amqp://a:secret@one/", "amqp://a:secret@two/")
    assert (config.namespace, config.user) == ("site-a", "a")


@pytest.mark.parametrize("content", [b"", b"secret", b"\xff\xfe\x00secret", None])
def test_file_without_a_url_is_one_clear_line(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FerWorkerError) as caught:
        BrokerConfig.from_file(file)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
