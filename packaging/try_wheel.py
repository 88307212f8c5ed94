"""Analyse a sample frame with what is installed: how cibuildwheel tries each wheel."""

from fer_worker.inference.factory import create_engine
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.inference.types import EngineOptions
from fer_worker.limits import FrameLimits
from fer_worker.tools.sample_frames import sample_frames

frame = decode_frame((sample_frames() / "astronaut.jpg").read_bytes(), FrameLimits())
(face,) = create_engine(EngineOptions()).analyze(frame.image, "all").faces
emotion = max(face.emotions, key=face.emotions.__getitem__)
assert emotion == "happy", face
print(f"{emotion}, {face.emotions[emotion]:.2f}")
