"""Words stand where they were spoken by the wall clock, after any number of reconnects."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import PCM, RECORDING, Heard, Web
from tests.transcription.process.test_outages import started

pytestmark = pytest.mark.process
VISITS, VISIT = 4, 3.0
_SEGMENTS = (
    "import json; from memories.repository import processing as p; f = p.latest_open('u1', None);"
    "print('SEGMENTS', json.dumps([[s.start, s.text] for s in f.transcript_segments]))"
)


@pytest.mark.timeout(200)
def test_times_are_right_to_50_ms_after_reconnects(tmp_path: Path, vendors: VendorServer) -> None:
    """The first session's clock began when its token had been checked, which takes longest in a new process: what was
    said after a reconnect stood 57 to 148 ms early."""
    began: list[float] = []

    async def visit(web: Web, number: int) -> None:
        async with web.socket() as connection:
            heard = Heard(connection)
            pcm = PCM[round(number * VISIT * 32000) : round((number + 1) * VISIT * 32000)]
            began.append(time.time())
            for at in range(0, len(pcm), 640):  # as a device does: 20 ms when they are spoken
                await connection.send(pcm[at : at + 640])
                await asyncio.sleep(max(0.0, began[-1] + (at + 640) / 32000 - time.time()))
            await heard.until(lambda: heard.words)
            await asyncio.sleep(0.6)

    async def work(web: Web) -> None:
        for number in range(VISITS):
            await visit(web, number)

    with started(tmp_path, vendors, OMI_LIVE="deepgram") as web:
        asyncio.run(asyncio.wait_for(work(web), 120))
        web.ended(VISITS)
        out = web.printed(_SEGMENTS)
    stored = json.loads(next(line for line in out.splitlines() if line.startswith("SEGMENTS"))[9:])
    # Each stored segment begins with a word of one visit: how far from where that word was spoken?
    spoken = [
        (word.word, moment - began[0] + max(0.0, word.start - number * VISIT), number)
        for number, moment in enumerate(began)
        for word in RECORDING.words
        if word.end > number * VISIT and word.start < (number + 1) * VISIT
    ]
    nearest = [
        min((abs(at - start), number) for word, at, number in spoken if word == text.split()[0])
        for start, text in stored
    ]
    errors = [error for error, _ in nearest]
    assert len({number for _, number in nearest}) >= VISITS - 1  # two visits may have begun with the same word
    print([round(error, 3) for error in errors])
    assert sorted(errors)[-1] <= 0.05, errors
