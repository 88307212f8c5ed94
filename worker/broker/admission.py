"""Which deliveries may be worked on at all, by what is around their bodies."""

from schemas import ErrorCode
from worker.broker.consumer import Delivery
from worker.broker.properties import UNREADABLE, size_of
from worker.broker.topology import Topology
from worker.config import Limits
from worker.errors import MessageError


class Admission:
    """Checks headers and addresses. Its methods take microseconds and read no body."""

    def __init__(self, topology: Topology, limits: Limits) -> None:
        """Store what is accepted."""
        self._topology = topology
        self._limits = limits

    def check(self, delivery: Delivery) -> None:
        """Refuse a request that has no place here, or whose answer could not find its way.

        Raises:
            MessageError: `forbidden_reply_to`, `invalid_headers` or `missing_correlation_id`.
        """
        if delivery.reply_to is not None and self._topology.is_workers_own(delivery.reply_to):
            raise MessageError(
                ErrorCode.FORBIDDEN_REPLY_TO, "reply_to names a queue of the workers' own"
            )
        self._check_headers(delivery)
        if delivery.correlation_id is None:
            raise MessageError(
                ErrorCode.MISSING_CORRELATION_ID, "the message has no correlation_id property"
            )

    def _check_headers(self, delivery: Delivery) -> None:
        unreadable = MessageError(ErrorCode.INVALID_HEADERS, "the headers cannot be read")
        if UNREADABLE in delivery.headers:
            raise unreadable
        try:
            size = size_of(delivery.headers)
        except Exception as error:
            raise unreadable from error
        if size > self._limits.max_header_bytes:
            raise MessageError(
                ErrorCode.INVALID_HEADERS,
                f"the headers have {size} bytes; {self._limits.max_header_bytes} are accepted",
            )
