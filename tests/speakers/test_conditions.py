"""The simulated conditions of a profile."""

from __future__ import annotations

import numpy as np
import pytest

from speakers.conditions import BAND, CONDITIONS, NOISE_DB, simulated

from .conftest import RATE, Pcm, Talk


@pytest.fixture(scope="module")
def speech(talk: Talk) -> Pcm:
    return talk.enrol_user[: 6 * RATE]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_recording_always_gives_the_same_copy(condition: str, speech: Pcm) -> None:
    first, again = simulated(speech, condition), simulated(speech, condition)
    assert first.dtype == np.int16
    assert len(first) == len(speech)
    assert np.array_equal(first, again)
    assert np.array_equal(first, speech) == (condition == "clean")


def test_noise_is_as_loud_as_it_says(speech: Pcm) -> None:
    noisy = simulated(speech, "noise").astype(np.float64)
    scale = float(noisy @ speech) / float(speech.astype(np.float64) @ speech)
    noise = noisy - scale * speech
    ratio = 10 * np.log10(np.mean((scale * speech) ** 2) / np.mean(noise**2))
    assert ratio == pytest.approx(NOISE_DB, abs=0.5)


def test_nothing_is_left_outside_of_the_telephones_band(speech: Pcm) -> None:
    power = np.abs(np.fft.rfft(simulated(speech, "telephone").astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(speech), 1 / RATE)
    outside = power[(hertz < 0.8 * BAND[0]) | (hertz > 1.2 * BAND[1])].sum()
    assert outside < 1e-3 * power.sum()


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(1600, np.int16), np.ones(3, np.int16)])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_silence_and_no_audio_are_no_error(pcm: Pcm, condition: str) -> None:
    assert len(simulated(pcm, condition)) == len(pcm)


def test_an_unknown_condition_is_refused(speech: Pcm) -> None:
    with pytest.raises(ValueError, match="helium"):
        simulated(speech, "helium")
