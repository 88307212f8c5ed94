"""Configuration: small frozen values, built at the edge and handed down."""

import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fer_client.errors import FerWorkerError

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
DEFAULT_NAMESPACE = "fer"


def mask_password(url: str) -> str:
    """Return an address as it may be shown: the password as `***`, without its query.

    Where an `@` may belong to a password or to a query, nothing is shown from there on.
    """
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if "?" in credentials:
        return f"{scheme}{separator}{re.split('[:/?]', credentials)[0]}:***"
    user, colon, _ = credentials.partition(":")
    secret = ":***" if colon else ""
    return f"{scheme}{separator}{user}{secret}{at}{place.partition('?')[0]}"


def _is_amqp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("amqp", "amqps") and (parts.port or 1) > 0
    except ValueError:  # the port is no number
        return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM for `amqps://`."""

    ca: Path | None = None
    """Authorities to trust; None: the system's."""
    cert: Path | None = None
    """Our own certificate, and those between it and the authority that the broker trusts."""
    key: Path | None = None
    """Its key; None: in the file of the certificate."""


NO_TLS_FILES = TlsFiles()


@dataclass(frozen=True)
class BrokerConfig:
    """Where the broker is, and under which namespace its queues are."""

    urls: tuple[str, ...] = field(default=(DEFAULT_URL,), repr=False)
    """AMQP URLs of the nodes, tried in turn."""
    namespace: str = DEFAULT_NAMESPACE
    heartbeat_s: int = 8
    """RabbitMQ gives a silent connection up after two to three of these: what a stalled worker
    holds is delivered to others within 24 s."""
    tls: TlsFiles = NO_TLS_FILES

    @classmethod
    def from_url(
        cls, urls: str, namespace: str = DEFAULT_NAMESPACE, tls: TlsFiles = NO_TLS_FILES
    ) -> "BrokerConfig":
        """Read one URL or several, separated by commas.

        Raises:
            FerWorkerError: one of them is not an AMQP URL, or the TLS files have no use.
        """
        found = tuple(url.strip() for url in urls.split(",") if url.strip())
        if not found or not all(map(_is_amqp, found)):
            # What was given may hold a password at any place; it is not repeated.
            raise FerWorkerError("not an AMQP URL, amqp://user:password@host:port/vhost")
        if tls.key is not None and tls.cert is None:
            raise FerWorkerError("a TLS key needs its certificate")
        if tls != NO_TLS_FILES and not any(url.startswith("amqps:") for url in found):
            raise FerWorkerError("TLS files are given, but no URL begins with amqps://")
        return cls(found, namespace, tls=tls)

    @classmethod
    def from_file(
        cls, path: Path, namespace: str = DEFAULT_NAMESPACE, tls: TlsFiles = NO_TLS_FILES
    ) -> "BrokerConfig":
        """Read the URLs from a file, as secrets are handed to containers.

        Raises:
            FerWorkerError: it cannot be read, or as `from_url`.
        """
        try:
            urls = path.read_text(encoding="utf-8")
        except OSError as error:
            raise FerWorkerError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise FerWorkerError(f"{path} is not a text") from None
        return cls.from_url(urls, namespace, tls)

    @property
    def user(self) -> str:
        """The user name of the first URL."""
        return unquote(urlsplit(self.urls[0]).username or "guest")

    @property
    def exposed_hosts(self) -> tuple[str, ...]:
        """Hosts beyond this machine that are spoken to in the clear."""
        parts = [urlsplit(url) for url in self.urls]
        hosts = [part.hostname or "localhost" for part in parts if part.scheme == "amqp"]
        return tuple(host for host in hosts if not _is_loopback(host))

    def __str__(self) -> str:
        return ", ".join(mask_password(url) for url in self.urls)


def host_name() -> str:
    """Name of this machine, as operators know it."""
    return socket.gethostname()
