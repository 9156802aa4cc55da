from __future__ import annotations

from itertools import pairwise

import numpy as np

from transcription.engines.utterances import UtteranceSplitter


def split(splitter, pcm, step):
    raw = pcm.tobytes()
    ended = [u for at in range(0, len(raw), step) for u in splitter.feed(raw[at : at + step])]
    return ended + splitter.finish()


def test_utterances_hold_the_audio_that_stands_at_their_time(conversation):
    pcm = conversation.cut(0, 20)
    utterances = split(UtteranceSplitter(), pcm, 1000)
    assert len(utterances) >= 3
    for utterance in utterances:
        start = round(utterance.start * 16_000)
        heard = utterance.pcm()
        np.testing.assert_array_equal(heard[: len(pcm) - start], pcm[start : start + len(heard)])


def test_the_size_of_the_packets_changes_nothing(conversation):
    pcm = conversation.cut(0, 10)
    once = [(u.start, u.end) for u in split(UtteranceSplitter(), pcm, 10**9)]
    assert [(u.start, u.end) for u in split(UtteranceSplitter(), pcm, 37)] == once


def test_endless_speech_is_cut_without_losing_a_frame(conversation):
    turn = conversation.turns[1]
    speech = conversation.cut(turn["start"], turn["end"])
    utterances = split(UtteranceSplitter(longest=2.0), np.concatenate([speech] * 3), 3200)
    joined = [u for u in utterances if u.continues]
    assert len(joined) >= 3
    for before, after in pairwise(utterances):
        assert len(before.frames) * 0.032 <= 2.1
        if before.continues:
            assert after.start == before.end


def test_a_cut_comes_after_what_is_shown_already(conversation):
    turn = conversation.turns[1]
    raw = conversation.cut(turn["start"], turn["end"]).tobytes()
    splitter = UtteranceSplitter(longest=2.0)
    at, ended = 0, []
    while not ended:
        ended = splitter.feed(raw[at : at + 1024])
        at += 1024
        if splitter.current is not None and not ended:
            splitter.current.decided = splitter.current.end - 0.1
            shown = splitter.current.decided
    assert ended[0].continues
    assert ended[0].end >= shown
