"""The process of row 18a: a coverage-guided fuzzer for the parser and the code that handles the parsed frames.

An input consists of frames, one per line. Half of the inputs are mutated as bytes; in the others one value of one frame
is replaced, so that the frame stays valid JSON. libFuzzer leaves an input that breaks a promise in the folder.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["feed", "hip3_tasks"]):
    from tests.support import frame_pipeline

PROGRESS_INTERVAL = 2_000
MAX_BYTES = 800
MAX_TOTAL_S, MAX_INPUT_S = 1_800, 10
PLACEHOLDER = b'"here"'
WORDS = "null", '"xyz:TSLA"', '"bbo"', '"activeAssetCtx"', "1788330949235", "9999999999999"
VALUES = [value.encode() for value in (*frame_pipeline.NO_NUMBERS, *frame_pipeline.ODD_NUMBERS, *WORDS)]


def _bbo(bid_px: str, ask_px: str) -> bytes:
    return frame_pipeline.bbo_frame(
        frame_pipeline.level(f'"{bid_px}"', '"2.0"'), frame_pipeline.level(f'"{ask_px}"', '"3.0"')
    ).encode()


def _ctx(oracle_px: str) -> bytes:
    return frame_pipeline.ctx_frame(f'"{oracle_px}"', '"100.0"').encode()


def _ctx_with_sample(oracle_px: str, bid_px: str, ask_px: str) -> bytes:
    """A context whose mid and impact prices are those of a book."""
    sample = f'"midPx":"{bid_px}","impactPxs":["{bid_px}","{ask_px}"]'.encode()
    return _ctx(oracle_px).replace(b'"midPx":null', sample)


CALM, BOOK = _ctx("100.0"), _bbo("99.9", "100.1")
FRAMES = (
    *(CALM, BOOK, _ctx("101.0"), _ctx("99.0"), _ctx("1000"), _bbo("100.1", "99.9"), _bbo("0.1", "999999")),
    frame_pipeline.bbo_frame("null", frame_pipeline.level('"100.1"', '"3.0"')).encode(),
    b'{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"bbo","coin":"xyz:TSLA"}}}',
    b'{"channel":"error","data":"Already subscribed: {}"}',
    b'{"channel":"pong"}',
    b"Websocket connection established.",
)
SEEDS = (
    b"\n".join((CALM, BOOK, _ctx("101.0"), _bbo("100.5", "100.7"), _ctx("10"))),
    b"\n".join((BOOK, *map(_ctx_with_sample, ("100.0", "101.0", "99.0"), ("99.9",) * 3, ("100.1",) * 3))),
    b"\n".join((BOOK, _ctx_with_sample("101.0", "101.0", "101.2"), _ctx_with_sample("101.0", "101.1", "101.3"), BOOK)),
    b"\n".join((BOOK, CALM, _ctx("99.0"), _bbo("98.0", "98.2"), _ctx("98.1"))),
    *FRAMES,
)


def main(folder: Path, inputs: int) -> None:
    """Try `inputs` inputs, and print at intervals how many were tried."""
    tried = 0

    def try_one(data: bytes) -> None:
        nonlocal tried
        tried += 1
        if tried % PROGRESS_INTERVAL == 0:
            print(tried, flush=True)
        frame_pipeline.hold(_as_received(line) for line in data.split(b"\n"))

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed{number}").write_bytes(seed)
    limits = f"-runs={inputs}", f"-max_len={MAX_BYTES}", f"-max_total_time={MAX_TOTAL_S}", f"-timeout={MAX_INPUT_S}"
    options = "-seed=18", "-print_final_stats=1", f"-artifact_prefix={folder}/"
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], try_one, custom_mutator=_mutated)
    atheris.Fuzz()


def _as_received(frame: bytes) -> str | bytes:
    """The frame as text; as bytes when it is not UTF-8, which only a binary frame can carry."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame


def _mutated(data: bytes, max_size: int, seed: int) -> bytes:
    chance = random.Random(seed)
    if chance.random() < 0.5:
        return atheris.Mutate(data, max_size)
    frames = data.split(b"\n")
    position = chance.randrange(len(frames))
    match chance.randrange(8):
        case 0:
            frames.insert(position, chance.choice(FRAMES))
        case 1:
            frames.append(frames.pop(position))
        case _:
            frames[position] = _with_another_value(frames[position], chance)
    return b"\n".join(frames)[:max_size]


def _with_another_value(frame: bytes, chance: random.Random) -> bytes:
    try:
        whole: list[Any] = [json.loads(frame)]
    except (ValueError, RecursionError):
        return chance.choice(FRAMES)
    holder, key = whole, 0
    while isinstance(now := holder[key], dict | list) and now and chance.random() < 0.9:
        holder, key = now, chance.choice(list(now) if isinstance(now, dict) else range(len(now)))
    if holder is not whole and chance.random() < 0.05:
        del holder[key]
        return json.dumps(whole[0]).encode()
    holder[key] = "here"
    return json.dumps(whole[0]).encode().replace(PLACEHOLDER, _value(now, chance))


def _value(now: Any, chance: random.Random) -> bytes:
    if isinstance(now, str) and chance.random() < 0.5:
        return json.dumps(atheris.Mutate(now.encode(errors="replace"), 48).decode(errors="replace")).encode()
    return chance.choice(VALUES)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
