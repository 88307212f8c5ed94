"""What pika raises, in one line, and whether waiting may help."""

import re
import socket
from typing import Final

from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorException,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ConnectionOpenAborted,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from fer_client.amqp import tls
from fer_client.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError

CONNECT_ERRORS: Final = (AMQPError, OSError, AMQPConnectorException)
"""What connecting raises. pika makes no AMQPError of everything, such as a login that hangs."""

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530
"""With 403 an operator's mistake: wrong credentials, a missing permission or virtual host. Others,
such as 541 from a broker that is still booting, are waited out."""

_AMBIGUOUS_LOGIN_ERRORS = (ProbableAuthenticationError, ProbableAccessDeniedError)
"""What pika makes of any end of a connection while it logs in, a cut line and a booting broker
included. What the broker said, if it said anything, is left in the text only."""

_REFUSAL = re.compile(rf"ConnectionClosedByBroker: \(({ACCESS_REFUSED}|{NOT_ALLOWED})\)")

_SOCKET_ERRORS: Final[dict[int, str]] = getattr(socket, "errorTab", {})
"""On Windows, whose numbers `os.strerror` does not know."""


def explain(error: BaseException) -> str:
    """Say in one line why a connection or channel failed."""
    root = _root_cause(error)
    if isinstance(root, AMQPConnectorStackTimeout | ConnectionOpenAborted):
        return "it takes the connection and then says nothing"
    if isinstance(root, ConnectionClosedByBroker | ChannelClosedByBroker):
        return f"{root.reply_code} {root.reply_text}"
    if isinstance(root, _AMBIGUOUS_LOGIN_ERRORS):
        return str(root.args[0])
    if isinstance(root, OSError) and root.errno in _SOCKET_ERRORS:
        return f"[Errno {root.errno}] {_SOCKET_ERRORS[root.errno]}"
    return str(root) or type(root).__name__


def explain_refusal(error: BaseException) -> str | None:
    """Say why the broker refuses us for good, or return None where waiting may help."""
    root = _root_cause(error)
    if (refusal := tls.explain_refusal(root)) is not None:
        return refusal
    if isinstance(root, _AMBIGUOUS_LOGIN_ERRORS) and not _REFUSAL.search(str(root)):
        return None
    if isinstance(root, AuthenticationError | ProbableAuthenticationError):
        return "the broker refuses the user name or password"
    if isinstance(root, ProbableAccessDeniedError):
        return "the broker refuses the virtual host"
    codes = (ACCESS_REFUSED, NOT_ALLOWED)
    if isinstance(root, ChannelClosedByBroker):
        codes = (ACCESS_REFUSED, PRECONDITION_FAILED)
    if isinstance(root, ConnectionClosedByBroker | ChannelClosedByBroker):
        return f"the broker refuses us: {root.reply_text}" if root.reply_code in codes else None
    return None


def translate(error: BaseException) -> BrokerError:
    """Make an error of ours of what broke an open connection."""
    if (refusal := explain_refusal(error)) is not None:
        return BrokerRefusedError(refusal)
    return BrokerUnavailableError(f"the connection to the broker was lost: {explain(error)}")


def _root_cause(error: BaseException) -> BaseException:
    """Unwrap the exceptions that pika puts around the one that matters."""
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return _root_cause(error.exceptions[-1])
    inner = getattr(error, "exception", None) or (error.args[0] if error.args else None)
    return _root_cause(inner) if isinstance(inner, BaseException) else error
