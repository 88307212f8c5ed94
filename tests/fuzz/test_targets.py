"""The targets on what needs no fuzzer: its seeds, damaged ones, structures that are made up."""

import json
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import data

from tests.fuzz.seeds import SEEDS, WORDS
from tests.fuzz.targets import TARGETS, codec, properties

ALL_SEEDS = [(target, seed) for target in TARGETS for seed in SEEDS[target]()]

plain = st.none() | st.booleans() | st.text()
field = st.sampled_from(["version", "frames", "jpeg", "id", "camera_id", "faces", "deadline"])
times = st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat)

json_like = st.recursive(
    plain | st.integers() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(field | st.text(), inner),
    max_leaves=30,
)
header_values = st.recursive(
    plain
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary()
    | st.decimals(-(10**4), 10**4, places=2)
    | st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=30,
)
valid_requests = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "frames": st.lists(
            st.fixed_dictionaries(
                {"jpeg": st.binary()}, optional={"id": st.text(max_size=128), "captured_at": times}
            ),
            min_size=1,
            max_size=5,
        ),
    },
    optional={
        "camera_id": st.text(max_size=128),
        "faces": st.sampled_from(["first", "all"]),
        "deadline": times,
        "sent_at": times,
    },
)


def test_every_target_has_seeds_and_words() -> None:
    assert TARGETS.keys() == SEEDS.keys() == WORDS.keys()


@pytest.mark.parametrize(("target", "seed"), ALL_SEEDS, ids=range(len(ALL_SEEDS)))
def test_seed_keeps_the_promises(target: str, seed: bytes) -> None:
    TARGETS[target](seed)


@given(st.sampled_from(ALL_SEEDS), st.data())
@settings(max_examples=1000, deadline=None)
def test_damaged_seed_keeps_the_promises(chosen: tuple[str, bytes], draw: st.DataObject) -> None:
    target, seed = chosen
    for _ in range(draw.draw(st.integers(1, 3))):
        start, end = sorted(draw.draw(st.tuples(*[st.integers(0, len(seed))] * 2)))
        piece = draw.draw(st.binary(max_size=8) | st.sampled_from(WORDS[target]))
        seed = seed[:start] + piece + seed[end:]
    TARGETS[target](seed)


@given(json_like)
@settings(deadline=None)
def test_any_json_keeps_the_promises(value: Any) -> None:
    codec(b"\x01" + json.dumps(value).encode(errors="surrogatepass"))


@given(valid_requests)
@settings(deadline=None)
def test_any_request_of_the_contract_keeps_the_promises(fields: dict[str, Any]) -> None:
    codec(b"\x00" + msgpack.packb(fields))


@given(st.dictionaries(field | st.text(max_size=20), header_values))
@settings(deadline=None)
def test_any_headers_keep_the_promises(headers: dict[str, Any]) -> None:
    pieces: list[bytes] = []
    data.encode_table(pieces, headers)
    properties(b"".join(pieces)[4:])
