"""Images, folders, clips and cameras -> JPEG frames, ready to be sent.

    paths ──find_pictures──▶ files ──read_frame───▶ frames ──batches──▶ lists of them
          ──find_media─────▶       ──read_frames──▶
    address ────────────────────────────Camera────▶

Frames are pulled. A file is read, and a clip decoded, as far as the batch needs that is asked for,
so a slow sender reads slowly. A camera goes on by itself; a slow reader gets fewer of its frames,
each the newest.
"""

from fer_worker.tools.media.cameras import Camera, camera_address
from fer_worker.tools.media.clips import open_clip
from fer_worker.tools.media.files import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    expected_frames,
    find_media,
    find_pictures,
    matching,
    read_frame,
    read_frames,
)
from fer_worker.tools.media.frames import (
    FRAME_OVERHEAD_BYTES,
    MediaFrame,
    batches,
    encode_jpeg,
    sendable,
)

__all__ = [
    "CLIP_SUFFIXES",
    "FRAME_OVERHEAD_BYTES",
    "PICTURE_SUFFIXES",
    "Camera",
    "MediaFrame",
    "batches",
    "camera_address",
    "encode_jpeg",
    "expected_frames",
    "find_media",
    "find_pictures",
    "matching",
    "open_clip",
    "read_frame",
    "read_frames",
    "sendable",
]
