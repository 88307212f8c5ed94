"""Options of `fer-worker run` that say what a worker accepts."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args

import click

from fer_worker.cli.types import Pattern
from fer_worker.limits import DEFAULT_LIMITS, DamagedFrames, FrameLimits, Limits, ReplyPattern

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MIB = 1024 * 1024


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
        "--max-batch-pixels",
        type=click.IntRange(1),
        default=DEFAULT_LIMITS.max_pixels,
        help="Of all frames in a batch together, by their headers.",
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
        "--damaged-frames",
        type=click.Choice(get_args(DamagedFrames)),
        default=DEFAULT_LIMITS.frame.damaged,
        help="A JPEG of which a part is lost: refuse it, or analyse what is left and mark it.",
    )
    @click.option(
        "--reply-pattern",
        type=Pattern(),
        help="Regular expression that reply_to must match as a whole; {user_id} in it is the "
        "sender's user name, which the broker has checked.",
    )
    @wraps(command)
    def with_limits(
        *args: Any,
        max_message_bytes: int,
        max_batch_pixels: int,
        max_frame_bytes: int,
        max_frame_pixels: int,
        damaged_frames: DamagedFrames,
        reply_pattern: ReplyPattern | None,
        **kwargs: Any,
    ) -> Result:
        limits = Limits(
            max_bytes=max_message_bytes,
            max_pixels=max_batch_pixels,
            frame=FrameLimits(max_frame_bytes, max_frame_pixels, damaged_frames),
            replies=reply_pattern,
        )
        return command(limits, *args, **kwargs)

    return with_limits
