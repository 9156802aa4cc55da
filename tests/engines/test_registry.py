from __future__ import annotations

import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from transcription.engines import sherpa
from transcription.engines.models import CATALOGUE
from transcription.engines.registry import batch_engine, detect, live_model

TRANSDUCER = ("encoder-epoch-99.onnx", "decoder-epoch-99.onnx", "joiner-epoch-99.onnx", "tokens.txt")


def folder_of(tmp_path, *names, name="model"):
    folder = tmp_path / name
    folder.mkdir()
    for file in names:
        (folder / file).write_bytes(b"")
    return folder


def test_a_folder_tells_its_engine(tmp_path):
    assert detect(None) == "whisper"
    assert detect(folder_of(tmp_path, "model.bin", "config.json", name="w")) == "whisper"
    assert detect(folder_of(tmp_path, *TRANSDUCER, name="t")) == "sherpa-onnx"
    assert detect(folder_of(tmp_path, "model.int8.onnx", "tokens.txt", name="c")) == "sherpa-onnx"


@pytest.mark.parametrize("names", [None, (), ("readme.md",)])
def test_a_folder_that_is_no_model_is_a_configuration_error(names, tmp_path):
    folder = tmp_path / "none" if names is None else folder_of(tmp_path, *names)
    with pytest.raises(ProviderError) as error:
        detect(folder)
    assert (error.value.kind, error.value.outcome) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR)


@pytest.mark.parametrize("make", [batch_engine, live_model])
@pytest.mark.parametrize(
    ("engine", "names", "missing"),
    [
        ("sherpa-onnx", TRANSDUCER[:3], "tokens"),
        ("sherpa-onnx", (TRANSDUCER[0], TRANSDUCER[2], "tokens.txt"), "decoder"),
        ("whisper", ("model.bin",), "config.json, tokenizer.json, vocabulary.txt or vocabulary.json"),
    ],
)
def test_what_a_model_folder_lacks_is_named_before_anything_is_loaded(make, engine, names, missing, tmp_path):
    with pytest.raises(ProviderError, match=missing) as error:
        make(engine, folder_of(tmp_path, *names))
    assert error.value.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize("engine", ["sherpa-onnx", "nonsense"])
def test_an_engine_without_a_folder_or_of_no_known_name_is_refused(engine):
    with pytest.raises(ProviderError):
        batch_engine(engine)


def test_streaming_and_offline_transducers_are_told_apart(tmp_path):
    offline = folder_of(tmp_path, *TRANSDUCER, name="zipformer")
    assert sherpa.kind_of(offline) is sherpa.Kind.TRANSDUCER
    (offline / TRANSDUCER[0]).write_bytes(b"graph" * 100 + b"decode_chunk_len" + b"32")
    assert sherpa.kind_of(offline) is sherpa.Kind.STREAMING
    whisper = folder_of(tmp_path, "base-encoder.onnx", "base-decoder.onnx", name="w")
    assert sherpa.kind_of(whisper) is sherpa.Kind.WHISPER


def test_word_pieces_become_words_with_times():
    words = sherpa.words_from_tokens(["▁HE", "LLO", "▁WORLD"], [0.1, 0.3, 2.0], 10.0, 13.0)
    assert [(w.text, w.start, w.end) for w in words] == [("HELLO", 10.1, 10.8), ("WORLD", 12.0, 12.5)]
    assert sherpa.words_from_tokens([], [], 0.0, 1.0) == []


def test_the_catalogue_says_what_to_put_where():
    assert len({card.name for card in CATALOGUE}) == len(CATALOGUE)
    for card in CATALOGUE:
        assert card.licence
        assert card.megabytes > 0
        assert card.bundled or (card.files and card.setting in ("OMI_SPEECH_MODEL", "OMI_VOICE_MODEL"))
