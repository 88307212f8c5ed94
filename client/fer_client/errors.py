"""Every error this package raises on purpose.

    FerWorkerError                  exit code 1
    ├── BrokerError                 exit code 3
    │   ├── BrokerRefusedError      wrong password, missing vhost: an operator's mistake, stop
    │   └── BrokerUnavailableError  not there within the wait
    ├── EngineError                 exit code 4: a model library or file is missing or broken
    ├── NoAnswerError               exit code 5: no answer in time
    │   └── NoWorkersError          nobody takes batches, and this one does not wait for workers
    ├── SubmitError                 a client's batch was not taken
    │   ├── BatchTooLargeError      over the message limit, refused before it was sent
    │   ├── QueueFullError          the broker refused it: the queue is full
    │   └── NoWorkerQueueError      no queue takes requests: no worker has ever been started
    ├── MessageError                a request that is bad as a whole; carries its wire code
    └── FrameError                  one frame that cannot be analysed; carries its wire code

The command line prints the message of a `FerWorkerError` as one line and leaves with its
`exit_code`. Messages never hold secrets or pixels.
"""

from fer_schemas import ErrorCode


class FerWorkerError(Exception):
    """Base of all. Its text is one line for the user."""

    exit_code = 1


class BrokerError(FerWorkerError):
    """The broker cannot be used."""

    exit_code = 3


class BrokerRefusedError(BrokerError):
    """The broker is there and refuses us: credentials, permissions or virtual host."""


class BrokerUnavailableError(BrokerError):
    """No broker answered within the wait."""


class EngineError(FerWorkerError):
    """The engine cannot start."""

    exit_code = 4


class NoAnswerError(FerWorkerError):
    """Nobody answered in time."""

    exit_code = 5


class NoWorkersError(NoAnswerError):
    """Nobody takes batches, and no supervisor is there that could start a worker."""


class SubmitError(FerWorkerError):
    """A batch was not taken by the broker."""


class BatchTooLargeError(SubmitError):
    """The encoded batch is over the message limit; nothing was sent."""


class QueueFullError(SubmitError):
    """The broker refused the batch because its queue is full; send it again later."""


class NoWorkerQueueError(SubmitError):
    """Requests have nowhere to go: no queue is bound, because no worker has run here yet."""


class _CodedError(FerWorkerError):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class MessageError(_CodedError):
    """A request that is bad as a whole: answered with an `error` reply and dead-lettered."""


class FrameError(_CodedError):
    """One frame that cannot be analysed: named in the result's `errors`."""
