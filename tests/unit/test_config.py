import pytest

from worker.config import BrokerConfig, mask_password
from worker.errors import FerWorkerError


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
