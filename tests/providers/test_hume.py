"""Hume's expression measurement: parts with their place in the recording, each failure with its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.vendors.server import VendorServer
from emotions import hume
from emotions.base import EmotionRequest
from emotions.hume import HumeEmotions
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from tests.support.sound import write_wav
from tests.support.vendor_fixtures import Talk


def failure(talk: Talk, timeout: float = 20.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        HumeEmotions().measure(EmotionRequest(talk.path, talk.seconds, [], timeout=timeout))
    return caught.value


def test_a_long_recording_goes_in_parts_below_the_limit_and_comes_back_in_one_time(
    vendors: VendorServer, talk: Talk, tmp_path: Path
) -> None:
    """The audio itself is sent; there is no address that may be gone when Hume fetches it."""
    pcm = np.tile(np.concatenate([talk.recording.pcm, np.zeros(16_000 * 200, np.int16)]), 4)
    path = write_wav(tmp_path / "long.wav", pcm.tobytes())
    timeline = HumeEmotions().measure(EmotionRequest(path, len(pcm) / 16_000, []))
    sizes = [entry["body_bytes"] for entry in vendors.log("hume", "file")]
    assert len(sizes) == 2
    assert max(sizes) < 25_000_000
    assert sum(size - 44 for size in sizes) == len(pcm) * 2  # every sample once
    period = talk.seconds + 200
    starts = [span.start for span in timeline.spans]
    for repeat in range(4):
        first = next(start for start in starts if start >= repeat * period)
        assert first == pytest.approx(repeat * period + talk.words[0].start, abs=0.5)


def test_a_part_ends_in_a_pause(vendors: VendorServer, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hume, "PART_SECONDS", 9.0)
    monkeypatch.setattr(hume, "CUT_SECONDS", 4.0)
    HumeEmotions().measure(EmotionRequest(talk.path, talk.seconds, []))
    cut = (vendors.log("hume", "file")[0]["body_bytes"] - 44) / 32_000
    assert 5.0 <= cut <= 9.0
    assert not any(word.start + 0.02 < cut < word.end - 0.02 for word in talk.words)


@pytest.mark.parametrize(
    ("fault", "kind", "outcome"),
    [
        ({"kind": "refuse", "status": 400, "code": "audio_decode_failed"}, ErrorKind.PERMANENT, Outcome.INVALID_INPUT),
        ({"kind": "refuse", "status": 401}, ErrorKind.PERMANENT, Outcome.CONFIG_ERROR),
        ({"kind": "refuse", "status": 403}, ErrorKind.PERMANENT, Outcome.CONFIG_ERROR),
        ({"kind": "refuse", "status": 404}, ErrorKind.PERMANENT, Outcome.CONFIG_ERROR),
        ({"kind": "refuse", "status": 413}, ErrorKind.PERMANENT, Outcome.INVALID_INPUT),
        ({"kind": "refuse", "status": 415}, ErrorKind.PERMANENT, Outcome.INVALID_INPUT),
        ({"kind": "refuse", "status": 429, "retry_after": 11}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "refuse", "status": 500}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "refuse", "status": 503}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "html"}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "html", "status": 502}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "truncated"}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "garbage"}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "reset"}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
        ({"kind": "drop"}, ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR),
    ],
)
def test_each_failure_has_one_meaning_and_is_never_retried(
    vendors: VendorServer, talk: Talk, fault: dict[str, Any], kind: ErrorKind, outcome: Outcome
) -> None:
    vendors.faults("hume", fault)
    error = failure(talk)
    assert (error.kind, error.outcome) == (kind, outcome)
    assert error.retry_after == fault.get("retry_after")
    assert len(vendors.log("hume")) == 1
    assert "sim-key" not in str(error)


@pytest.mark.parametrize("fault", [{"kind": "hang", "seconds": 5}, {"kind": "slow", "seconds": 30}])
def test_a_server_that_hangs_or_trickles_is_left(vendors: VendorServer, talk: Talk, fault: dict[str, Any]) -> None:
    vendors.faults("hume", fault)
    error = failure(talk, timeout=1.5)
    assert (error.kind, error.outcome) == (ErrorKind.TRANSIENT, Outcome.TIMEOUT)


def test_no_measurements_are_a_legal_answer(vendors: VendorServer, talk: Talk) -> None:
    vendors.faults("hume", {"kind": "empty"})
    assert HumeEmotions().measure(EmotionRequest(talk.path, talk.seconds, [])).spans == []


def test_without_a_key_nothing_leaves_the_machine(vendors: VendorServer, talk: Talk, settings: Any) -> None:
    settings.HUME_API_KEY = ""
    assert isinstance(failure(talk), MissingDependency)
    assert vendors.log("hume") == []
