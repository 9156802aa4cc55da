"""Every live adapter against its simulated vendor: the promises of ``transcription.vendors.live.base``, one suite.

The simulators recognise words only in audio that really arrives, so a test that sees the words has seen the wire work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.utils.module_loading import import_string

from demo.vendors.server import VendorServer
from demo.vendors.synth import speech
from omi.core.errors import ErrorKind, MissingDependency, ProviderError, UnsupportedFeature
from omi.settings_providers import _LIVE
from transcription.vendors.live.base import LiveRequest, LiveResult
from transcription.vendors.live.speechmatics import SpeechmaticsLive

TEXT = "Hello there, my friend. | <B> We need to buy milk. | <A> Good idea, thanks."
WORDS = [word for word in TEXT.split() if word != "|" and not word.startswith("<")]
RECORDING = speech(TEXT, seed=3)
PCM = RECORDING.at(16000).tobytes()
ADAPTERS: dict[str, Callable[[], Any]] = {name: import_string(_LIVE[name]) for name in sorted(_LIVE) if name != "local"}
"""The local engine has no wire: ``tests/transcription/test_local_live.py``."""


@pytest.fixture(scope="module")
def running() -> Iterator[VendorServer]:
    with VendorServer([RECORDING], vendors=tuple(ADAPTERS)) as server:
        yield server


@pytest.fixture
def vendors(running: VendorServer) -> Iterator[VendorServer]:
    running.reset()
    with override_settings(**{name: value for name, value in running.urls.items() if name != "SIM_URL"}):
        yield running


@pytest.fixture(params=list(ADAPTERS))
def vendor(request: pytest.FixtureRequest, vendors: VendorServer) -> Any:
    return ADAPTERS[request.param]()


async def hear(
    vendor: Any, request: LiveRequest | None = None, pcm: bytes = PCM, *, at_once: bool = False
) -> list[LiveResult]:
    stream = await vendor.open(request or LiveRequest())
    found: list[LiveResult] = []
    missed: list[int] = []

    async def listen() -> None:
        async for result in stream.results():
            found.append(result)

    async def send() -> None:
        for at in range(0, len(pcm), 3200):
            piece = pcm[at : at + 3200]
            if not (at_once and stream.send_now(piece)):
                await stream.send(piece)
                missed.append(at)
            if at_once:
                await asyncio.sleep(0.001)
        await stream.finish()

    # No TaskGroup: in Python 3.11.2, within a timeout, its caller is left cancelled by what one of its tasks raised.
    try:
        await asyncio.wait_for(asyncio.gather(listen(), send()), 20)
    finally:
        await stream.close()
        await stream.close()
    assert not at_once or len(missed) < len(pcm) / 3200 / 2
    assert not stream.send_now(b"\0\0")  # it is closed
    return found


def finals(results: list[LiveResult]) -> list[Any]:
    return [word for result in results if result.final for word in result.words]


def test_final_words_come_once_in_order_with_times_and_speakers(vendor: Any) -> None:
    results = asyncio.run(hear(vendor))
    words = finals(results)
    assert [word.text for word in words] == WORDS
    for heard, true in zip(words, RECORDING.words, strict=True):
        assert heard.start == pytest.approx(true.start, abs=0.06)
        assert heard.end == pytest.approx(true.end, abs=0.06)
    labels = {true.speaker: heard.speaker for heard, true in zip(words, RECORDING.words, strict=True)}
    assert len(set(labels.values())) == 2
    assert None not in labels.values()
    decided = [result.heard_until for result in results if result.final and result.heard_until is not None]
    assert decided == sorted(decided)
    assert decided[-1] >= words[-1].end - 0.05


def test_audio_that_is_sent_without_waiting_is_heard_as_any_other(vendor: Any) -> None:
    results = asyncio.run(hear(vendor, at_once=True))
    assert [word.text for word in finals(results)] == WORDS


def test_without_diarization_no_speaker_is_invented(vendor: Any) -> None:
    words = finals(asyncio.run(hear(vendor, LiveRequest(diarize=False))))
    assert {word.speaker for word in words} == {None}


def test_words_after_silence_keep_their_place(vendor: Any) -> None:
    words = finals(asyncio.run(hear(vendor, pcm=b"\0" * 64000 + PCM)))
    assert [word.text for word in words] == WORDS
    assert words[0].start == pytest.approx(RECORDING.words[0].start + 2.0, abs=0.06)


def test_the_request_reaches_the_wire(vendor: Any, vendors: VendorServer) -> None:
    asyncio.run(hear(vendor, LiveRequest(language="de-DE", vocabulary=("Omi", "Zaphod"))))
    [entry] = vendors.log(vendor.name)
    said = str(entry["query"]) + str(entry["texts"])
    assert "Zaphod" in said
    assert "de" in said
    assert "sim-key" not in entry["url"]
    assert "sim-key" not in str(entry["texts"])


def test_mandarin_goes_to_speechmatics_under_the_code_it_has_there(vendors: VendorServer) -> None:
    async def work() -> None:
        stream = await SpeechmaticsLive().open(LiveRequest(language="zh-CN"))
        await stream.close()

    asyncio.run(asyncio.wait_for(work(), 20))
    [entry] = vendors.log("speechmatics")
    assert '"language": "cmn"' in str(entry["texts"])


def test_what_a_vendor_cannot_do_is_an_error_that_names_both(vendor: Any) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        asyncio.run(vendor.open(LiveRequest(language="xx")))
    assert vendor.name in str(caught.value)
    assert "xx" in str(caught.value)
    assert caught.value.kind is ErrorKind.PERMANENT


def test_a_missing_key_says_which_variable(vendor: Any) -> None:
    name = f"{vendor.name.upper()}_API_KEY"
    with override_settings(**{name: ""}), pytest.raises(MissingDependency, match=name):
        asyncio.run(vendor.open(LiveRequest()))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, ErrorKind.PERMANENT),
        (402, ErrorKind.QUOTA),
        (403, ErrorKind.PERMANENT),
        (429, ErrorKind.TRANSIENT),
        (500, ErrorKind.TRANSIENT),
        (503, ErrorKind.TRANSIENT),
    ],
)
def test_a_refused_handshake_has_its_kind(vendor: Any, vendors: VendorServer, status: int, kind: ErrorKind) -> None:
    vendors.faults(vendor.name, {"kind": "refuse", "status": status, "retry_after": 7})
    with pytest.raises(ProviderError) as caught:
        asyncio.run(hear(vendor))
    assert caught.value.kind is kind
    assert caught.value.vendor == vendor.name
    assert "sim-key" not in str(caught.value)
    if status == 429:
        assert caught.value.retry_after == 7


def test_a_wrong_key_is_permanent(vendor: Any) -> None:
    with override_settings(**{f"{vendor.name.upper()}_API_KEY": "wrong"}), pytest.raises(ProviderError) as caught:
        asyncio.run(hear(vendor))
    assert caught.value.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop", "after_results": 1},
        {"kind": "close", "code": 1011, "after_results": 1},
        {"kind": "malformed"},
        {"kind": "garbage_frame"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_broken_stream_is_transient(vendor: Any, vendors: VendorServer, fault: dict[str, Any]) -> None:
    vendors.faults(vendor.name, fault)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(hear(vendor))
    assert caught.value.kind is ErrorKind.TRANSIENT


IN_BAND = {
    "deepgram": [({"kind": "close", "code": 1008}, ErrorKind.PERMANENT), ({"kind": "error"}, ErrorKind.TRANSIENT)],
    "soniox": [
        ({"kind": "error", "code": 503}, ErrorKind.TRANSIENT),
        ({"kind": "error", "code": 402}, ErrorKind.QUOTA),
        ({"kind": "error", "code": 429}, ErrorKind.TRANSIENT),
        ({"kind": "error", "code": 400}, ErrorKind.PERMANENT),
    ],
    "speechmatics": [
        ({"kind": "error", "type": "quota_exceeded"}, ErrorKind.QUOTA),
        ({"kind": "error", "type": "job_error"}, ErrorKind.TRANSIENT),
        ({"kind": "error", "type": "not_authorised"}, ErrorKind.PERMANENT),
        ({"kind": "close", "code": 4005}, ErrorKind.QUOTA),
    ],
}


@pytest.mark.parametrize(
    ("name", "fault", "kind"), [(name, *case) for name, cases in IN_BAND.items() for case in cases]
)
def test_the_vendors_own_errors_have_their_kind(
    vendors: VendorServer, name: str, fault: dict[str, Any], kind: ErrorKind
) -> None:
    vendors.faults(name, {**fault, "after_audio": 1.0})
    with pytest.raises(ProviderError) as caught:
        asyncio.run(hear(ADAPTERS[name]()))
    assert caught.value.kind is kind


def test_keep_alive_and_flush_are_taken(vendor: Any, vendors: VendorServer) -> None:
    async def work() -> list[LiveResult]:
        stream = await vendor.open(LiveRequest())
        await stream.keep_alive()
        half = 3200 * 15
        await stream.send(PCM[:half])
        await stream.flush()
        await stream.send(PCM[half:])
        await stream.finish()
        found = [result async for result in stream.results()]
        await stream.close()
        return found

    results = asyncio.run(asyncio.wait_for(work(), 20))
    assert finals(results)
    [entry] = vendors.log(vendor.name)
    texts = " ".join(text for text in entry["texts"])
    assert "inalize" in texts or "ForceEndOfUtterance" in texts


def test_nothing_is_reachable_where_nothing_listens(vendor: Any) -> None:
    dead = "ws://127.0.0.1:9/v2" if vendor.name != "deepgram" else "http://127.0.0.1:9"
    with override_settings(**{f"{vendor.name.upper()}_URL": dead}), pytest.raises(ProviderError) as caught:
        asyncio.run(hear(vendor))
    assert caught.value.kind is ErrorKind.TRANSIENT
    assert "127.0.0.1" not in str(caught.value)
