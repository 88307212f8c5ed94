"""Which deliveries may be worked on at all, by what is around their bodies."""

from fer_client.amqp.consumer import Delivery
from fer_client.amqp.properties import UNREADABLE, size_of
from fer_client.amqp.topology import Topology
from fer_client.errors import MessageError
from fer_schemas import ErrorCode
from fer_worker.limits import MAX_HEADER_BYTES, Limits


class RequestChecks:
    """Checks headers and addresses. It takes microseconds and reads no body."""

    def __init__(self, topology: Topology, limits: Limits) -> None:
        """Store what is accepted."""
        self._topology = topology
        self.limits = limits

    def check(self, delivery: Delivery) -> None:
        """Refuse a request that has no place here, or whose answer could not find its way.

        Raises:
            MessageError: `forbidden_reply_to`, `invalid_headers` or `missing_correlation_id`.
        """
        if delivery.reply_to is not None:
            self._check_reply_to(delivery, delivery.reply_to)
        self._check_headers(delivery)
        if delivery.correlation_id is None:
            raise MessageError(
                ErrorCode.MISSING_CORRELATION_ID, "the message has no correlation_id property"
            )

    def _check_reply_to(self, delivery: Delivery, reply_to: str) -> None:
        if isinstance(delivery.properties.reply_to, bytes):
            raise MessageError(ErrorCode.FORBIDDEN_REPLY_TO, "reply_to is no name: it is not UTF-8")
        if self._topology.is_workers_own(reply_to):
            raise MessageError(
                ErrorCode.FORBIDDEN_REPLY_TO, "reply_to names a queue of the workers' own"
            )
        pattern = self.limits.replies
        if pattern is None or self._was_quarantined(delivery):
            return
        if not pattern.allows(reply_to, delivery.user_id):
            raise MessageError(
                ErrorCode.FORBIDDEN_REPLY_TO, "reply_to names a queue that this sender may not name"
            )

    def _was_quarantined(self, delivery: Delivery) -> bool:
        """Whether a worker has checked it before: its copy in quarantine has no user id.

        Headers that say so would not do. Anyone may send them.
        """
        quarantine = self._topology.quarantine.name
        if delivery.queue == self._topology.undeliverable.name:
            death = delivery.last_death
            return death is not None and death.get("queue") == quarantine
        return delivery.queue == quarantine

    def _check_headers(self, delivery: Delivery) -> None:
        unreadable = MessageError(ErrorCode.INVALID_HEADERS, "the headers cannot be read")
        if UNREADABLE in delivery.headers:
            raise unreadable
        try:
            size = size_of(delivery.headers)
        except Exception as error:
            raise unreadable from error
        # The broker has added to those of what it gave up on.
        is_undeliverable = delivery.queue == self._topology.undeliverable.name
        if size > MAX_HEADER_BYTES and not is_undeliverable:
            raise MessageError(
                ErrorCode.INVALID_HEADERS,
                f"the headers have {size} bytes; {MAX_HEADER_BYTES} are accepted",
            )
