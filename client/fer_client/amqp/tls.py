"""TLS to the broker: always with a checked certificate and host name."""

import re
import ssl

from fer_client.config import TlsFiles
from fer_client.errors import FerWorkerError

_WAIT_FOR = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""The line dropped in the middle; it may hold next time."""

_ALERT = re.compile(r"\[SSL: (\w*ALERT\w*)\]")


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that trusts the given authority, or the system's.

    Raises:
        FerWorkerError: a file is missing, unreadable, encrypted or not PEM.
    """
    for path in (files.ca, files.cert, files.key):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise FerWorkerError(f"cannot read {path}: {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except ssl.SSLError as error:
        raise FerWorkerError(f"{files.ca} has no certificate in PEM") from error
    if files.cert is not None:
        try:
            # With a password OpenSSL asks nobody for one.
            context.load_cert_chain(files.cert, files.key, password="")
        except ssl.SSLError as error:
            names = " and ".join(str(path) for path in (files.cert, files.key) if path is not None)
            raise FerWorkerError(
                f"{names}: not a certificate with its own unencrypted key, in PEM"
            ) from error
    return context


def explain_refusal(error: BaseException) -> str | None:
    """Say why TLS cannot be agreed on, or return None where it is not that, or waiting may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and not isinstance(error, _WAIT_FOR):
        return _no_tls(error.reason or "unknown reason")
    # Of an alert that comes after the handshake, as in TLS 1.3, pika keeps but the text.
    alert = _ALERT.search(str(error))
    return None if alert is None else _no_tls(alert[1])


def _no_tls(reason: str) -> str:
    return f"no TLS with the broker: {reason.lower().replace('_', ' ')}"
