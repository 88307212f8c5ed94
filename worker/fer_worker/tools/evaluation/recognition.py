"""Labelled pictures -> what is answered to each: by engines in this process, or by workers."""

import dataclasses
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_client.errors import BatchTooLargeError, FerWorkerError, NoAnswerError
from fer_schemas import BatchResult, Emotion, EngineInfo, FaceResult, Frame, RequestError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import Engine, EngineOptions
from fer_worker.limits import FrameLimits
from fer_worker.tools.evaluation.samples import LabelledPicture
from fer_worker.tools.media import MediaFrame, batches
from fer_worker.tools.submission.streaming import stream


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered to one labelled picture: its largest face, none, or why nothing."""

    picture: str
    label: Emotion
    face: FaceResult | None = None
    error: str | None = None

    @property
    def emotion(self) -> Emotion | None:
        """The strongest emotion of the face; of equals the first, as in a result."""
        if self.face is None:
            return None
        return self.face.emotions.strongest()[0]

    @property
    def is_right(self) -> bool:
        """Whether a face was found and its emotion is that of the label."""
        return self.emotion is self.label


class Recogniser(Protocol):
    """Analyses pictures, by one engine or several beside each other."""

    where: str
    """Where it does, in words."""

    @property
    def engines(self) -> list[list[Mapping[str, Any]]]:
        """Options of each engine, as far as they are known; more than one if workers differ."""
        ...

    def recognise(
        self, pictures: Sequence[LabelledPicture], min_side: int
    ) -> Generator[tuple[Outcome, ...], None, None]:
        """Analyse pictures; those smaller than `min_side` are enlarged to it.

        Yields:
            An outcome an engine, for every picture; about in order.

        Raises:
            FerWorkerError: it cannot begin, or not go on.
        """
        ...


class InProcess:
    """Engines in this process, as many pictures at once as there are threads."""

    def __init__(self, options: Sequence[EngineOptions], threads: int) -> None:
        self._options = options
        self._threads = threads
        self.where = f"{threads} thread{'s' * (threads > 1)} of this process"

    @property
    def engines(self) -> list[list[Mapping[str, Any]]]:
        """Options of each, in the order given."""
        return [[dataclasses.asdict(options)] for options in self._options]

    def recognise(
        self, pictures: Sequence[LabelledPicture], min_side: int
    ) -> Generator[tuple[Outcome, ...], None, None]:
        """Analyse pictures as a worker would, in their order; see `Recogniser`."""
        engines = [create_engine(options) for options in self._options]
        waiting: deque[Future[tuple[Outcome, ...]]] = deque()
        with ThreadPoolExecutor(self._threads, "pictures") as pool:
            try:
                for picture in pictures:
                    if len(waiting) == 4 * self._threads:
                        yield waiting.popleft().result()
                    waiting.append(pool.submit(_analyze, picture, engines, min_side))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)


class ThroughQueue:
    """Workers behind a broker, with engines of their own."""

    def __init__(self, broker: BrokerConfig, batch_size: int, timeout_s: float) -> None:
        self._broker = broker
        self._batch_size = batch_size
        self._timeout_s = timeout_s
        self._engines: dict[EngineInfo, None] = {}
        self.where = f"workers at {broker}"

    @property
    def engines(self) -> list[list[Mapping[str, Any]]]:
        """What the workers that answered say of theirs."""
        return [[engine.model_dump() for engine in self._engines]]

    def recognise(
        self, pictures: Sequence[LabelledPicture], min_side: int
    ) -> Generator[tuple[Outcome, ...], None, None]:
        """Send pictures in batches; see `Recogniser`. The first lost batch is an error."""
        unsent: deque[Outcome] = deque()
        # Later than `stream`, which is to say what is late.
        with FerClient(self._broker, answer_timeout_s=self._timeout_s + 1) as client:
            answers = stream(
                client,
                batches(_frames(pictures, min_side, unsent), self._batch_size),
                timeout_s=self._timeout_s,
                faces="first",
            )
            for answer in answers:
                # Frames are named by the places of their pictures.
                sent = [pictures[int(frame.id)] for frame in answer.frames]
                if answer.result is not None:
                    if answer.result.engine is not None:
                        self._engines[answer.result.engine] = None
                    yield from zip(_outcomes(sent, answer.result))
                elif isinstance(answer.error, BatchTooLargeError):
                    yield from zip(_failed(picture, str(answer.error)) for picture in sent)
                else:
                    raise answer.error or NoAnswerError("no answer")
                while unsent:
                    yield (unsent.popleft(),)
        yield from zip(unsent)


def _frames(
    pictures: Iterable[LabelledPicture], min_side: int, unsent: deque[Outcome]
) -> Iterator[MediaFrame]:
    """Frames of the pictures; a file that is no picture goes to `unsent`."""
    for place, picture in enumerate(pictures):
        try:
            yield MediaFrame(picture.to_jpeg(min_side), str(place), str(picture.path))
        except FerWorkerError as error:
            unsent.append(_failed(picture, str(error)))


def _analyze(
    picture: LabelledPicture, engines: Sequence[Engine], min_side: int
) -> tuple[Outcome, ...]:
    from fer_worker.serving.frame_analysis import analyze_frame  # not at the top: it loads OpenCV

    try:
        frame = Frame(jpeg=picture.to_jpeg(min_side))
    except FerWorkerError as error:
        return (_failed(picture, str(error)),) * len(engines)
    analyses = (analyze_frame(engine, frame, 0, "first", FrameLimits()) for engine in engines)
    return tuple(_outcome(picture, one.frame.faces, one.error) for one in analyses)


def _outcomes(pictures: Sequence[LabelledPicture], result: BatchResult) -> Iterator[Outcome]:
    errors = {error.frame: error for error in result.errors}
    for index, picture in enumerate(pictures):
        error = errors.get(index) or errors.get(None)  # None: the request as a whole
        yield _outcome(picture, () if error else result.frames[index].faces, error)


def _outcome(
    picture: LabelledPicture, faces: Sequence[FaceResult], error: RequestError | None
) -> Outcome:
    if error is not None:
        return _failed(picture, f"{error.code}: {error.message}")
    return Outcome(picture.name, picture.emotion, faces[0] if faces else None)


def _failed(picture: LabelledPicture, error: str) -> Outcome:
    return Outcome(picture.name, picture.emotion, error=error)
