"""What goes wrong on the live path is counted in series that are there before it does."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from omi.core.errors import ErrorKind, ProviderError
from omi.serving import admission
from tests.support.scrape import scraped
from tests.transcription.fakes import Script, spoken_pcm
from tests.transcription.live_session import TEN, Labeller, Run, drop, lived, run, said_in_turns
from tests.transcription.wire import Wire, fresh
from transcription import metrics
from transcription.listen import capacity
from transcription.session import voices
from transcription.session.vendor_session import OURS
from transcription.vendors.live.base import NO_ROOM

pytestmark = pytest.mark.django_db
__all__ = ["fresh"]
LISTEN = Path(__file__).resolve().parents[2] / "transcription" / "listen"


def value(counter: Any, *labels: str) -> float:
    return (counter.labels(*labels) if labels else counter)._value.get()


def test_series_are_there_before_what_they_count_has_happened(settings: Any) -> None:
    told = scraped()
    [vendor] = settings.OMI_LIVE
    for series in (
        f'omi_live_vendor_failures_total{{kind="transient",vendor="{vendor}"}}',
        f'omi_live_vendor_failures_total{{kind="local_streams",vendor="{vendor}"}}',
        f'omi_live_vendor_audio_seconds_total{{vendor="{vendor}"}}',
        'omi_audio_dropped_seconds_total{reason="no_room"}',
        'omi_audio_dropped_seconds_total{reason="draining"}',
        'omi_listen_refused_total{reason="unauthenticated"}',
        "omi_listen_admitted_total",
        'omi_live_voices_total{outcome="failed",what="name"}',
        'omi_live_voices_total{outcome="slow",what="tell_apart"}',
    ):
        assert f"\n{series} " in told, series


def test_the_kinds_are_those_that_a_failure_can_have() -> None:
    assert set(metrics.FAILURE_KINDS) == {*(kind.value for kind in ErrorKind), NO_ROOM, OURS}


def test_every_reason_for_which_a_socket_is_refused_is_declared() -> None:
    """One that is not would be born with its first refusal."""
    source = "\n".join(path.read_text() for path in LISTEN.glob("*.py"))
    said = set(re.findall(r"(?:Refused\(|_refuse\(\w+, |_part\()\"(\w+)\"", source))
    assert len(said) > 6
    named = {gate.refusal.code for gate in admission.gates()} | {"too_often"}
    assert said | named == set(metrics.REFUSALS)


# --- sockets


def test_a_socket_that_is_refused_is_counted_and_logged_without_its_user() -> None:
    refused, admitted = value(metrics.REFUSED, "unauthenticated"), value(metrics.ADMITTED)

    async def work() -> None:
        wire = Wire(uid="nobody-knows")
        wire._scope["headers"] = [(b"authorization", b"Bearer a-token-that-is-bad")]
        async with wire:
            await wire.until(lambda: wire.code is not None)
        assert wire.code == 1008
        async with Wire(Script()) as other:
            await other.until(lambda: other.reasons("ready"))

    with capture_logs() as logs:
        run(work)
    assert value(metrics.REFUSED, "unauthenticated") == refused + 1
    assert value(metrics.ADMITTED) == admitted + 1
    assert [entry for entry in logs if entry["event"] == "socket_refused"] == [
        {"event": "socket_refused", "reason": "unauthenticated", "log_level": "info"}
    ]


def test_audio_of_a_client_that_waits_for_room_until_it_leaves_is_counted(settings: Any) -> None:
    settings.OMI_SESSIONS_PER_USER = 1
    dropped = value(metrics.DROPPED, "no_room")

    async def work() -> None:
        async with Wire(Script()) as first:
            first.send(bytes(3200))
            await first.until(lambda: capacity.count() == 1)
            async with Wire(Script()) as second:
                second.send(bytes(32000))
                await second.until(lambda: second.reasons("waiting"))
        for session in capacity.sessions_of("u1"):
            await session.discard()

    run(work)
    assert value(metrics.DROPPED, "no_room") == pytest.approx(dropped + 1.0)


# --- vendors


def test_an_engine_that_is_killed_again_and_again_is_counted_though_no_breaker_opens() -> None:
    """Each connection says a word first, which closes the breaker."""
    before = value(metrics.VENDOR_FAILURES, "alpha", "transient")
    killed = [(1.0, drop("exit -9")) for _ in range(5)]
    lived(Run(Script(fail_after=killed)), spoken_pcm(TEN), pause=0.02)
    assert value(metrics.VENDOR_FAILURES, "alpha", "transient") == before + 5


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProviderError("alpha", "full", kind=ErrorKind.TRANSIENT, code=NO_ROOM), "local_streams"),
        (KeyError("ours"), "internal"),
    ],
)
def test_what_is_no_vendors_fault_has_a_kind_of_its_own(error: Any, kind: str) -> None:
    before = value(metrics.VENDOR_FAILURES, "alpha", kind), value(metrics.VENDOR_FAILURES, "alpha", "transient")
    lived(Run(Script(open_errors=[error])), spoken_pcm(TEN), pause=0.02)
    after = value(metrics.VENDOR_FAILURES, "alpha", kind), value(metrics.VENDOR_FAILURES, "alpha", "transient")
    assert after == (before[0] + 1, before[1])


def test_a_client_whose_network_drops_is_no_vendors_failure() -> None:
    """Sessions end in the middle of a word, again and again."""

    def failures() -> float:
        return sum(value(metrics.VENDOR_FAILURES, "alpha", kind) for kind in metrics.FAILURE_KINDS)

    before = failures()
    for _ in range(5):
        lived(Run(Script()), spoken_pcm(TEN)[:50_000])
    assert failures() == before


# --- voices


def test_a_voice_engine_that_fails_is_counted_by_what_it_was_asked() -> None:
    before = [value(metrics.VOICES, what, "failed") for what in ("name", "tell_apart")]
    lived(Run(Script(diarization=True, voices=2), labeller=Labeller(broken=True)), said_in_turns(8), pause=0.01)
    lived(Run(Script(utterance=8), labeller=Labeller(broken=True)), said_in_turns(4), pause=0.01)
    after = [value(metrics.VOICES, what, "failed") for what in ("name", "tell_apart")]
    assert all(now > then for now, then in zip(after, before, strict=True))


def test_answers_are_counted_too_and_late_ones_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = [value(metrics.VOICES, what, "answered") for what in ("name", "tell_apart")]
    slow = value(metrics.VOICES, "tell_apart", "slow")
    lived(Run(Script(diarization=True, voices=2), labeller=Labeller()), said_in_turns(8), pause=0.01)
    lived(Run(Script(utterance=8), labeller=Labeller()), said_in_turns(4), pause=0.01)
    after = [value(metrics.VOICES, what, "answered") for what in ("name", "tell_apart")]
    assert all(now > then for now, then in zip(after, answered, strict=True))

    class Late(Labeller):
        async def embed(self, clips: list[Any]) -> list[Any]:
            await asyncio.sleep(0.3)
            return await super().embed(clips)

    monkeypatch.setattr(voices, "EMBED_SECONDS", 0.05)
    lived(Run(Script(utterance=8), labeller=Late()), said_in_turns(4), pause=0.01)
    assert value(metrics.VOICES, "tell_apart", "slow") > slow
