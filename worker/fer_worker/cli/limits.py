"""Options of `fer-worker run` that say what a worker accepts."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from fer_schemas import MAX_FRAMES, MAX_NAME_LENGTH
from fer_worker.limits import DEFAULT_LIMITS, FrameLimits, Limits, ReplyPattern

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MIB = 1024 * 1024


class _Pattern(click.ParamType[ReplyPattern]):
    """A regular expression."""

    name = "regex"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ReplyPattern:
        try:
            return ReplyPattern(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def limit_options(
    command: Callable[Concatenate[Limits, Parameters], Result],
) -> Callable[..., Result]:
    """Add an option for each limit; the command gets one `Limits`, first."""

    @click.option(
        "--max-message-bytes",
        type=click.IntRange(1, 128 * MIB),
        default=DEFAULT_LIMITS.max_bytes,
        help="Of a message's body. RabbitMQ 4 takes 16 MiB unless told otherwise.",
    )
    @click.option(
        "--max-header-bytes",
        type=click.IntRange(0, 64 * 1024),
        default=DEFAULT_LIMITS.max_header_bytes,
        help="Of a message's headers.",
    )
    @click.option(
        "--max-values",
        type=click.IntRange(1),
        default=DEFAULT_LIMITS.max_values,
        help="Values in a body, those of lists and maps added up.",
    )
    @click.option(
        "--max-frames",
        type=click.IntRange(1, MAX_FRAMES),
        default=DEFAULT_LIMITS.max_frames,
        help="Frames in a batch.",
    )
    @click.option(
        "--max-batch-pixels",
        type=click.IntRange(1),
        default=DEFAULT_LIMITS.max_pixels,
        help="Of all frames in a batch together, by their headers.",
    )
    @click.option(
        "--max-id-length",
        type=click.IntRange(1, MAX_NAME_LENGTH),
        default=DEFAULT_LIMITS.max_id_length,
        help="Characters of a camera or frame id.",
    )
    @click.option(
        "--max-frame-bytes",
        type=click.IntRange(1),
        default=DEFAULT_LIMITS.frame.max_bytes,
        help="Of one frame.",
    )
    @click.option(
        "--max-frame-pixels",
        type=click.IntRange(1),
        default=DEFAULT_LIMITS.frame.max_pixels,
        help="Of one frame, by its header; three bytes of memory each.",
    )
    @click.option(
        "--min-frame-side",
        type=click.IntRange(DEFAULT_LIMITS.frame.min_side),
        default=DEFAULT_LIMITS.frame.min_side,
        help="Pixels of a frame's shorter side, at least.",
    )
    @click.option(
        "--reply-pattern",
        type=_Pattern(),
        help="Regular expression that reply_to must match as a whole; {user_id} in it is the "
        "sender's user name, which the broker has checked.",
    )
    @wraps(command)
    def with_limits(
        *args: Any,
        max_message_bytes: int,
        max_header_bytes: int,
        max_values: int,
        max_frames: int,
        max_batch_pixels: int,
        max_id_length: int,
        max_frame_bytes: int,
        max_frame_pixels: int,
        min_frame_side: int,
        reply_pattern: ReplyPattern | None,
        **kwargs: Any,
    ) -> Result:
        limits = Limits(
            max_bytes=max_message_bytes,
            max_header_bytes=max_header_bytes,
            max_values=max_values,
            max_frames=max_frames,
            max_pixels=max_batch_pixels,
            max_id_length=max_id_length,
            frame=FrameLimits(max_frame_bytes, max_frame_pixels, min_frame_side),
            replies=reply_pattern,
        )
        return command(limits, *args, **kwargs)

    return with_limits
