"""Whisper's rules that need no model: spectrogram, repetitions, packing of regions, words and their edges."""

from __future__ import annotations

import numpy as np
import pytest

from transcription.audio.vad import Region
from transcription.engines.whisper import batch
from transcription.engines.whisper.batch import windows
from transcription.engines.whisper.features import FRAMES, log_mel, mel_filters
from transcription.engines.whisper.files import bundled_model
from transcription.engines.whisper.languages import token_name
from transcription.engines.whisper.model import Answer, Whisper, alike, compression, repeats
from transcription.engines.whisper.tokens import Tokens, WordTokens
from transcription.engines.whisper.words import TimedWord, timed, trimmed, within_speech


def test_the_spectrogram_has_the_models_shape_and_range() -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)).astype(np.int16)
    found = log_mel(tone, 80)
    assert found.shape == (80, FRAMES)
    assert found.dtype == np.float32
    assert found.max() - found.min() <= 2.0 + 1e-5  # eight decades, over four
    loudest = int(found[:, 50].argmax())
    assert mel_filters(80)[loudest].argmax() == pytest.approx(25, abs=1)  # 1 kHz in bins of 40 Hz


def test_only_the_frames_that_hold_audio_are_transformed_and_none_is_lost() -> None:
    pcm = np.random.default_rng(1).normal(0, 1000, 8_123).astype(np.int16)
    whole = np.concatenate([pcm, np.zeros(FRAMES * 160 - len(pcm), np.int16)])
    assert np.allclose(log_mel(pcm, 80), log_mel(whole, 80), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("We met on Monday and we met again.", 1),
        ("no no no no", 2),
        ("thank you. Thank you. Thank you.", 3),
        ("go go go go go go go go", 4),
        (3 * "The conference begins when we turn on our weak hand. ", 3),
        ("谢谢谢谢谢谢谢谢", 4),
        ("", 1),
    ],
)
def test_runs_of_words_are_counted(text: str, times: int) -> None:
    assert repeats(text) == times


def answer(text: str, score: float = -0.2, no_speech: float = 0.1, before: str = "") -> Answer:
    return Answer([1], text, score, no_speech, before=before)


def test_a_loop_is_doubtful_and_plain_talk_is_not() -> None:
    assert not answer("I need to look at the pipes in the kitchen.").doubtful
    assert answer("thank you thank you thank you thank you").loops
    assert compression("a b c d e " * 40) > 2.4
    assert answer("a b c d e " * 40).doubtful


def test_a_mark_that_does_not_end_is_a_loop() -> None:
    assert answer("Gut in Morgan, vi'r trefen onza" + "'" * 20).loops
    assert not answer("Well... it's $1,000,000, isn't it?!").loops


class Guessing:
    """Whisper's answers to one window, in turn."""

    tokens = type("", (), {"prompt": staticmethod(lambda *_, **__: [])})

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def window(self, pcm, *, whole=False):
        return pcm

    def answer(self, *_, **__) -> Answer:
        return self._answers.pop(0)


def test_what_all_hearings_doubt_is_believed_only_where_two_of_them_say_it() -> None:
    laughter = [answer("Hahaha.", -2.1, 0.5), answer("Hahaha.", -1.9, 0.5), answer("Ha ha", -2.1, 0.5)]
    alone = Guessing(*laughter, answer("You're gonna have to do it.", -1.5, 0.5))
    assert Whisper.hear(alone, [], "en")[1].text == ""
    murmured = [answer("I think we ought to go.", -1.3), answer("The goal.", -1.6), answer("We got to go home.", -1.8)]
    agreed = Guessing(*murmured, answer("I think we've got to go.", -1.2))
    assert Whisper.hear(agreed, [], "en")[1].text == "I think we've got to go."


def test_hearings_are_alike_by_what_they_say() -> None:
    assert alike("It's ten o'clock.", "its ten oclock")
    assert not alike("Thank you.", "Okay.")
    assert not alike("", "")


def test_a_low_score_is_doubtful_and_sooner_where_nobody_seems_to_speak() -> None:
    assert answer("Thank you for watching.", score=-1.1).doubtful
    assert not answer("Thank you for watching.", score=-0.8).doubtful
    assert answer("Thank you for watching.", score=-0.8, no_speech=0.7).doubtful
    assert not answer("Thank you for watching.", score=-0.3, no_speech=0.7).doubtful


def test_a_phrase_said_twice_is_an_echo_also_of_what_is_shown_already() -> None:
    assert answer("you thought me so silly you thought me so silly").echoes
    assert answer("we went to the mountains with the children and stayed we went to the mountains with").echoes
    assert answer("早上好我们明天上午十点开会早上好我们明天上午十点").echoes
    assert answer("you thought me so silly", before="I know you thought me so silly").echoes
    assert not answer("no, no, that was yesterday").echoes
    assert not answer("we met on Monday", before="we met on Sunday").echoes


def test_regions_share_a_window_up_to_its_length_and_over_short_pauses_only() -> None:
    regions = [Region(0, 5), Region(6, 20), Region(21, 27), Region(27.5, 30), Region(40, 41)]
    packed = windows(regions)
    assert packed == [regions[:3], [regions[3]], [regions[4]]]
    assert windows([]) == []


def test_tokens_become_words_with_times() -> None:
    words = [WordTokens(" Hello", 1, 1), WordTokens(" there,", 3, 2), WordTokens(" Ana", 1, 1)]
    steps = [(0, 5), (0, 6), (1, 20), (2, 25), (3, 30), (4, 32), (5, 60)]
    found = timed(words, steps, [0.9, 0.8, 0.6, 0.1, 0.7], 2.0)
    assert [(w.text, w.start, w.end) for w in found] == [
        (" Hello", 0.1, 0.4),
        (" there,", 0.4, pytest.approx(0.6)),
        (" Ana", 0.64, 1.2),
    ]
    assert [(w.first, w.until) for w in found] == [(0, 1), (1, 4), (4, 5)]
    assert found[1].probability == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" It cost $4,000. “Yes”, he said: don't!", ["It", "cost", "$4,000.", "“Yes”,", "he", "said:", "don't!"]),
        (" Guten Tag, Frau Müller-Öz.", ["Guten", "Tag,", "Frau", "Müller-Öz."]),
        ("早上好，我们开会。", ["早", "上", "好，", "我们", "开", "会。"]),
        ("用iPhone吗？", ["用", "iPhone", "吗？"]),
    ],
)
def test_tokens_are_cut_into_words_as_they_are_written(text: str, words: list[str]) -> None:
    tokens = Tokens(bundled_model(), "whisper")
    ids = tokens.encode(text)
    found = tokens.words(ids)
    assert [word.text.strip() for word in found] == words
    assert sum(word.length for word in found) == len(ids)
    assert all(0 < word.spoken <= word.length for word in found)


@pytest.mark.parametrize("noise", [0, 20, 150])
def test_speech_begins_and_ends_where_it_is_louder_than_the_room(noise: int) -> None:
    """A room 26 dB below the voice is no speech, though speech is as soft as that in a quiet one."""
    sound = np.random.default_rng(4).normal(0, noise, 2 * 16_000)
    sound[8_000:24_000] += 4000 * np.sin(np.arange(16_000))
    ((start, end),) = trimmed(sound.astype(np.int16), [(0.3, 1.7)])
    assert (start, end) == (pytest.approx(0.5, abs=0.021), pytest.approx(1.5, abs=0.021))


def test_breath_beside_speech_in_a_loud_room_is_left_out_and_a_cut_is_kept() -> None:
    sound = np.random.default_rng(4).normal(0, 100, 3 * 16_000)
    sound[8_000:40_000] += 4000 * np.sin(np.arange(32_000))
    sound[4_900:5_200] *= 20  # a breath at 0.31 s
    found = trimmed(sound.astype(np.int16), [(0.3, 1.5), (1.5, 2.7)])
    assert found[0] == (pytest.approx(0.42), pytest.approx(1.5, abs=0.001))
    assert found[1] == (pytest.approx(1.5), pytest.approx(2.5, abs=0.021))


def test_breath_beside_speech_in_a_quiet_room_is_left_out_too() -> None:
    sound = np.random.default_rng(4).normal(0, 5, 2 * 16_000)
    sound[8_000:24_000] += 4000 * np.sin(np.arange(16_000))
    sound[4_900:5_300] *= 100  # a breath at 0.31 s
    sound[26_600:27_000] *= 100
    ((start, end),) = trimmed(sound.astype(np.int16), [(0.3, 1.7)])
    assert (start, end) == (pytest.approx(0.42), pytest.approx(1.58))


def test_a_soft_last_syllable_in_a_loud_room_is_speech() -> None:
    """Speech detection hears it (it ends 0.2 s before its region), while its level says no more than the room's."""
    sound = np.random.default_rng(4).normal(0, 150, 2 * 16_000)
    sound[8_000:24_000] += 4000 * np.sin(np.arange(16_000))
    sound[18_000:24_000] *= 0.08
    ((start, end),) = trimmed(sound.astype(np.int16), [(0.3, 1.7)])
    assert (start, end) == (pytest.approx(0.5, abs=0.021), pytest.approx(1.5, abs=0.021))


def word(start: float, end: float) -> TimedWord:
    return TimedWord(" word", start, end, 1.0, 0, 1)


def test_a_word_ends_where_speech_does_and_one_outside_of_it_was_made_up() -> None:
    found = within_speech([word(0.2, 0.8), word(1.5, 3.4), word(4.0, 4.3)], [(0.5, 2.0)])
    assert [(w.start, w.end) for w in found] == [(0.5, 0.8), (1.5, 2.0)]


def test_the_words_beside_a_pause_reach_to_it_where_they_are_near() -> None:
    found = within_speech([word(0.7, 0.9), word(1.0, 1.8)], [(0.5, 2.0)])
    assert [(w.start, w.end) for w in found] == [(0.5, 0.9), (1.0, 2.0)]
    amount = TimedWord(" $4,000.", 0.5, 1.4, 1.0, 0, 5)
    assert [(w.start, w.end) for w in within_speech([amount], [(0.5, 2.0)])] == [(0.5, 2.0)]
    [far] = within_speech([word(1.1, 1.4)], [(0.5, 2.0)])
    assert (far.start, far.end) == (1.1, 1.4)


def test_a_word_that_reaches_over_a_pause_lies_in_the_longer_part() -> None:
    assert [(w.start, w.end) for w in within_speech([word(0.9, 3.0)], [(0.0, 1.0), (2.0, 4.0)])] == [(2.0, 3.0)]


def test_no_word_is_longer_than_any_is_spoken() -> None:
    [found] = within_speech([word(0.0, 5.0)], [(0.0, 5.0)])
    assert found.end - found.start == pytest.approx(1.2)
    amount = TimedWord(" $4,000.", 0.0, 2.0, 1.0, 0, 5)
    assert [(w.start, w.end) for w in within_speech([amount], [(0.0, 2.0)])] == [(0.0, 2.0)]


@pytest.mark.parametrize(
    ("asked", "name"),
    [("de-AT", "de"), ("multi", None), (None, None), ("", None), ("jv", "jw"), ("cmn", "zh"), ("zh-TW", "zh")],
)
def test_languages_have_whispers_names(asked: str | None, name: str | None) -> None:
    assert token_name(asked) == name


class Forgetful:
    """A model that leaves out all but the last sentence of a window of more than ``most`` seconds."""

    multilingual = True

    def __init__(self, most: float) -> None:
        self.most = most
        self.heard: list[float] = []
        self.tokens = Tokens(bundled_model(), "whisper")

    def hear(self, pcm: np.ndarray, language: str | None, **options: object) -> tuple[float, Answer]:
        self.heard.append(len(pcm) / 16_000)
        return self.heard[-1], Answer([1], "text", -0.1, 0.0)

    def place(self, window: float, answer: Answer, language: str | None, speech: list[tuple[float, float]]) -> None:
        said = speech if window <= self.most else speech[-1:]
        answer.words = [word(start, end) for start, end in said]


SENTENCES = [Region(0.0, 3.5), Region(4.2, 7.4), Region(8.0, 11.6)]


def transcribed(monkeypatch: pytest.MonkeyPatch, model: Forgetful, regions: list[Region]) -> list[tuple[float, float]]:
    monkeypatch.setattr(batch, "speech_regions", lambda pcm, **options: regions)
    pcm = np.zeros(round(regions[-1].end * 16_000), np.int16)
    found = batch.WhisperBatch(model, language="en").transcribe(pcm)  # type: ignore[arg-type]
    return [(word.start, word.end) for word in found]


def test_a_sentence_that_was_left_out_is_heard_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Forgetful(most=5.0)
    assert transcribed(monkeypatch, model, SENTENCES) == [(0.0, 3.5), (4.2, 7.4), (8.0, 11.6)]
    assert model.heard == pytest.approx([11.6, 3.5, 7.4, 3.2, 3.6])


def test_what_was_heard_whole_is_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Forgetful(most=30.0)
    assert len(transcribed(monkeypatch, model, SENTENCES)) == 3
    assert model.heard == pytest.approx([11.6])


def test_no_word_or_two_is_heard_without_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Forgetful(most=1.0)
    assert len(transcribed(monkeypatch, model, [Region(0.0, 2.0), Region(2.5, 4.5)])) == 1
    assert model.heard == pytest.approx([4.5])


def test_speech_without_a_word_is_unheard_and_a_pause_is_not() -> None:
    said = batch.words_of(Answer([], "", 0.0, 0.0, [word(0.2, 1.0), word(3.0, 3.8)]), 0.0, "en")
    assert batch.unheard(said, [Region(0.0, 4.0)]) == pytest.approx(2.0)
    assert batch.unheard(said, [Region(0.0, 1.5), Region(2.6, 4.0)]) == 0.0
    assert batch.unheard([], [Region(0.0, 1.4)]) == 0.0
