"""Shared cases become a dataset that ``manage.py evaluate`` reads, and a release says how many of them are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from memories import editing
from memories.evaluation import cases as release
from memories.evaluation.dataset import DatasetError
from memories.evaluation.heard import MadeMemory
from memories.evaluation.measure import Measurement, measured
from memories.evaluation.readers import load
from memories.feedback import corrections, identities
from memories.management.commands import evaluate
from memories.repository import memories as repository
from memories.shapes import Structured
from omi.accounts.users import update_user
from omi.stores import audio
from speakers import people
from tests.api.conftest import make_memory
from tests.support import sound

__all__ = ["make_memory"]


def test_names_addresses_and_numbers_are_masked() -> None:
    text = "Ana Lopez (ana@example.org, +49 30 1234567) told Anatol: see https://example.org/x, at 9."
    assert identities.without(text, ["Ana Lopez"]) == "[name] ([address], [number]) told Anatol: see [link] at 9."
    assert identities.without("nothing", []) == "nothing"


def evaluated(*arguments: Any) -> str:
    out = StringIO()
    call_command("evaluate", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_shared_cases_are_a_dataset_and_the_release_says_how_many_are_right(
    make_memory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_user("alice", improvement={"cases": True}, store_recording_permission=True)
    people.create_person("alice", "Nora")
    memory, silent = make_memory(), make_memory()
    corrections.text_changed("alice", memory, memory.transcript_segments[0], "We take the ferry with Nora on Sunday.")
    corrections.text_changed("alice", silent, silent.transcript_segments[0], "This one has no recording.")
    editing.set_texts("alice", memory.id, {"title": "Ferry to the island"})
    make_memory(uid="bob")
    editing.set_texts("bob", "bob-memory-3", {"title": "Not shared"})
    noise = np.random.default_rng(1).integers(-999, 999, 16000 * 9).astype(np.int16)
    audio.put("alice", "recording", sound.wav(noise.tobytes()), memory_id=memory.id, suffix=".wav", keep_for=None)

    folder, out = tmp_path / "cases", StringIO()
    call_command("export_cases", folder, stdout=out)
    assert out.getvalue().startswith(f"2 cases are in {folder}; left out: 1 no audio.")
    everything = "".join(file.read_text() for file in folder.rglob("*.json"))
    assert "alice" not in everything
    assert "Not shared" not in everything
    dataset = load(folder, tmp_path)
    spoken = next(item for item in dataset.items if item.audio is not None)
    written = next(item for item in dataset.items if item.audio is None)
    assert spoken.text == "We take the ferry with Nora on Sunday."
    assert 4.2 < spoken.audio.stat().st_size / 32000 < 4.7  # type: ignore[union-attr]  # 4 s and the margin

    wanted = release.wanted_of(folder)
    made = Measurement(
        items={
            spoken.name: measured(spoken, MadeMemory(text=spoken.text, structured=Structured())),
            written.name: measured(written, MadeMemory(structured=Structured(title="A boat trip"))),
        }
    )
    assert release.now_right(wanted, made).sentence == "1 of 2 reported cases are right now."
    made.items[written.name] = measured(written, MadeMemory(structured=Structured(title="Ferry to an island")))
    made.items[spoken.name] = measured(spoken, MadeMemory(text="We take the boat with Nora on Sunday."))
    told = release.now_right(wanted, made)
    assert (told.right, told.whole, told.open) == (1, 2, (spoken.name,))

    # The release's report: in the terminal, for another program and on the page, also against the release before.
    before, after, page = tmp_path / "before.json", tmp_path / "after.json", tmp_path / "page.html"
    monkeypatch.setattr(evaluate, "measured_apart", lambda *_, **__: made)
    assert "current: 1 of 2 reported cases are right now." in evaluated(folder, "--json", before)
    made.items[spoken.name] = measured(spoken, MadeMemory(text=spoken.text, structured=Structured()))
    made.items[written.name] = measured(written, MadeMemory(structured=Structured(title="A boat trip")))
    said = "1 of 2 reported cases are right now (1 mended, 1 broken since the baseline)."
    assert said in evaluated(folder, "--compare", before, "--json", after, "--html", page)
    assert json.loads(after.read_text())["variants"]["current"]["cases"] == {
        "right": 1, "whole": 2, "open": [written.name], "mended": [spoken.name], "broken": [written.name],
    }  # fmt: skip
    assert said in page.read_text()
    assert f"Still wrong: {written.name}." in page.read_text()

    with pytest.raises(CommandError, match="not empty"):
        call_command("export_cases", folder)
    (folder / "cases.json").write_text("[1]")
    with pytest.raises(DatasetError, match="no cases"):
        release.wanted_of(folder)
    assert release.wanted_of(tmp_path) == {}


def test_a_case_whose_sharing_was_withdrawn_is_not_exported(make_memory: Callable[..., Any], tmp_path: Path) -> None:
    update_user("alice", improvement={"cases": True})
    memory = make_memory()
    editing.set_texts("alice", memory.id, {"title": "Ferry"})
    update_user("alice", improvement={"cases": False})
    call_command("export_cases", tmp_path / "cases", stdout=StringIO())
    assert json.loads((tmp_path / "cases" / "cases.json").read_text()) == {}
    assert repository.get_memory("alice", memory.id).structured.title == "Ferry"
