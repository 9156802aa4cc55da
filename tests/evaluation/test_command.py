"""``manage.py evaluate`` from end to end with simulated vendors: table, JSON, page, comparison, gate, isolation."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import KeysView
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from demo.vendors.server import VendorServer
from memories.evaluation import isolation, judge, measure, report
from memories.evaluation.dataset import DatasetError, Item, Turn
from memories.evaluation.heard import MadeMemory
from memories.evaluation.isolation import EMBEDDED, LEFT_OUT, Variant, environment
from memories.evaluation.measure import Measurement
from memories.management.commands import evaluate
from memories.shapes import Structured
from tests.support.migrated import put_database
from tests.support.vendor_fixtures import Talk


@pytest.fixture
def folder(tmp_path: Path, talk: Talk) -> Path:
    """A dataset of the simulated vendors' talk, of a written one, and a question about each."""
    items = tmp_path / "little" / "items"
    items.mkdir(parents=True)
    shutil.copy(talk.path, items / "talk.wav")
    spoken = " ".join(word.word for word in talk.words)
    said = {"audio": "talk.wav", "text": spoken, "expected": {"action_items": [], "discarded": False}}
    turns = [{"speaker": "Ana", "start": 0, "end": 4, "text": "I will order new roofing felt for the shed tomorrow."}]
    (items / "talk.json").write_text(json.dumps(said))
    (items / "shed.json").write_text(json.dumps({"turns": turns, "expected": {"action_items": ["felt"]}}))
    questions = [{"question": "roofing felt", "items": ["shed"]}, {"question": "the mountains", "items": ["talk"]}]
    (items.parent / "questions.json").write_text(json.dumps(questions))
    return items.parent


@pytest.fixture
def outside(vendor_server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> VendorServer:
    """The simulators, for the command's child processes."""
    vendor_server.reset()
    vendor_server.set(fal_seconds=0.0, soniox_seconds=0.0, openai_answer=None)
    for name, value in vendor_server.urls.items():
        monkeypatch.setenv(name, str(value))
    return vendor_server


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> KeysView[tuple[str, str, int]]:
    """What is measured is kept, by variant, items and nudge: the command is asked for the same several times, and a
    child takes ten seconds. Gives what a child was started for; its database is migrated already, which takes three."""
    started: dict[tuple[str, str, int], Measurement] = {}

    def once(
        dataset: Path, variant: Variant, where: Path, *, only: str, nudge: int, judged: bool | None
    ) -> Measurement:
        key = (variant.name, only, nudge)
        if key not in started:
            put_database(where / "data")
            started[key] = isolation.measured_apart(dataset, variant, where, only=only, nudge=nudge, judged=judged)
        return started[key]

    monkeypatch.setattr(evaluate, "measured_apart", once)
    return started.keys()


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command("evaluate", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.process
def test_two_vendors_are_compared_and_reported(
    folder: Path, outside: VendorServer, measured_once: KeysView[tuple[str, str, int]], tmp_path: Path
) -> None:
    data, page = tmp_path / "made.json", tmp_path / "page.html"
    table = run(folder, "--providers", "deepgram,fal_whisperx", "--json", data, "--html", page)
    assert re.search(r"word errors \(WER\) +0\.0 %, n=1 +0\.0 %, n=1", table)
    assert re.search(r"US dollars per hour of audio +0\.\d+ \$, n=1", table)
    assert "search: recall@5" in table
    assert "fal_whisperx against deepgram" in table
    assert outside.log("deepgram", "file")
    made = json.loads(data.read_text())
    assert set(made["variants"]) == {"deepgram", "fal_whisperx"}
    assert made["variants"]["deepgram"]["figures"]["items_found"]["value"] == 1.0
    assert "sim-key" not in data.read_text()

    html = page.read_text()
    assert html.count("<svg") >= 5
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html)
    assert "<script" not in html

    # The same again, held against these results, and against bounds of which one cannot hold.
    again = run(folder, "--providers", "deepgram", "--compare", data, "--only", "talk")
    assert "deepgram against baseline deepgram" in again
    assert re.search(r"search: recall@5 +100\.0 %, n=1$", again, re.MULTILINE)  # of the questions about that item
    bounds = tmp_path / "bounds.json"
    run(folder, "--providers", "deepgram", "--write-bounds", bounds, "--runs", 1)
    limits = json.loads(bounds.read_text())
    assert limits["wer"]["limit"] == pytest.approx(0.01)
    assert "The gate holds" in run(folder, "--providers", "deepgram", "--gate", bounds)
    limits["wer"]["limit"] = -0.1
    bounds.write_text(json.dumps(limits))
    with pytest.raises(CommandError, match=r"word errors \(WER\): 0\.0 %, at most -10\.0 %"):
        run(folder, "--providers", "deepgram", "--gate", bounds)
    assert set(measured_once) == {("deepgram", "*", 0), ("fal_whisperx", "*", 0), ("deepgram", "talk", 0)}


@pytest.mark.process
def test_a_vendor_that_fails_is_a_figure_and_no_crash(folder: Path, outside: VendorServer, tmp_path: Path) -> None:
    outside.faults("deepgram", {"kind": "refuse", "status": 401, "times": -1})
    page = tmp_path / "page.html"
    table = run(folder, "--providers", "deepgram", "--only", "talk", "--html", page)
    assert re.search(r"items that became no memory +100\.0 %", table)
    assert re.search(r"word errors \(WER\) +100\.0 %", table)
    audio = re.search(r'<audio[^>]* src="([^"]+)"', page.read_text())
    assert audio is not None
    assert (tmp_path / audio[1]).is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--providers", "nobody"], "There is no provider 'nobody'"),
        (["--variant", "small"], "--variant small must be followed by settings"),
        (["--variant", "a", "X=1", "--variant", "a", "X=2"], "Two variants have one name"),
        (["--compare", "nothing.json"], "nothing.json: it is not the JSON of an evaluation"),
        (["--gate", "nothing.json"], "nothing.json: it holds no bounds"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_run(folder: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(folder, *arguments)
    assert told in str(caught.value)


def test_a_wrong_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no such file or folder"):
        run(tmp_path / "nothing")


def test_a_child_has_no_way_to_the_deployments_stores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*LEFT_OUT, "OMI_DOCUMENTS"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("DEEPGRAM_API_KEY", "kept")
    given = environment(Variant("a", {"OMI_PRERECORDED": "deepgram"}), tmp_path)
    assert not set(LEFT_OUT) & set(given)
    assert given.items() >= {**EMBEDDED, "OMI_DATA_DIR": str(tmp_path), "DEEPGRAM_API_KEY": "kept"}.items()
    assert os.environ["OMI_DOCUMENTS"] == "production"


def test_a_child_whose_stores_are_a_deployments_measures_nothing(settings: Any, tmp_path: Path) -> None:
    settings.OMI_DOCUMENTS = "firestore"
    with pytest.raises(isolation.Failed, match="OMI_DOCUMENTS is firestore"):
        isolation.measure_into(tmp_path / "a", tmp_path, only="*", nudge=0, judged=None, tell=print)


def test_a_report_shows_no_secret() -> None:
    shown = Variant("a", {"DEEPGRAM_API_KEY": "abc", "OMI_PRERECORDED": "deepgram"}).shown
    assert shown == {"DEEPGRAM_API_KEY": "...", "OMI_PRERECORDED": "deepgram"}


def test_a_baseline_of_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text('{"format": 99, "variants": {}}')
    with pytest.raises(DatasetError, match="its format is 99"):
        report.baseline_of(file)


GRADES = {"faithfulness": 4, "completeness": 2, "unsupported": ["the year 1999"], "missing": ["the dentist"]}


def test_a_model_judges_where_one_is_configured(vendors: VendorServer) -> None:
    asked: list[str] = []

    def answer(schema: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
        asked.extend(str(message["content"]) for message in messages)
        return GRADES

    vendors.set(openai_answer=answer)
    found = judge.judge("We meet the dentist.", Structured(title="A meeting in 1999"))
    assert found.parts == {"judge_faithfulness": (4, 1), "judge_completeness": (2, 1)}
    assert found.faults == ["unsupported: the year 1999", "missing: the dentist"]
    assert found.cost > 0
    assert "We meet the dentist." in asked[1]
    assert "A meeting in 1999" in asked[1]


@pytest.mark.parametrize("fault", [{"kind": "quota"}, {"kind": "invalid_json"}, {"kind": "refusal"}])
def test_a_judge_that_fails_leaves_the_other_figures(vendors: VendorServer, fault: dict[str, Any]) -> None:
    vendors.faults("openai", fault)
    item = Item(name="a", turns=[Turn(speaker="A", start=0, end=1, text="We meet at 9.")])
    made = measure.measured(item, MadeMemory(structured=Structured(title="Meeting at 9")), judged=True)
    assert made.parts["numbers_supported"] == (1, 1)
    assert "judge_faithfulness" not in made.parts
