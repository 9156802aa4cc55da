"""The data map names every model, every collection of documents and every entry of the data folder, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.apps import apps

from memories.backup.making import LEFT_OUT
from memories.privacy.erasure_parts import memory_parts, user_parts
from tests.docs.test_docs import PACKAGES, ROOT, tracked

PAGE = (ROOT / "docs" / "privacy.md").read_text()


def first_cells(heading: str) -> list[str]:
    """What stands in code in the first cells of the table below a heading."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_every_model_is_on_the_map_once() -> None:
    models = sorted(model._meta.label for model in apps.get_models())
    assert sorted(first_cells("Rows")) == models


def test_every_collection_that_the_code_names_is_on_the_map() -> None:
    """Found in the code: what follows a user's id in a path, and what the repository lays below a document."""
    source = "\n".join(
        file.read_text() for package in PACKAGES if package != "demo" for file in tracked(f"{package}/*.py")
    )
    of_users = set(re.findall(r"""path\(\s*"users",\s*[\w.]+,\s*"(\w+)\"""", source))
    below = set(re.findall(r"""\}/(\w+)[/"`]""", "\n".join(f.read_text() for f in tracked("memories/repository/*.py"))))
    below.discard("photo")  # what an id of a photo is made from
    assert {"memories", "people", "processing_memories"} <= of_users
    assert {"photos", "emotions", "hume"} <= below
    named = {part for cell in first_cells("Documents") for part in cell.split("/")}
    assert of_users | below <= named


def test_every_entry_of_the_data_folder_is_on_the_map() -> None:
    source = "\n".join(file.read_text() for package in PACKAGES for file in tracked(f"{package}/*.py"))
    folder = r"""OMI_DATA_DIR\)?\s*/\s*['"]([\w.]+)['"]"""
    found = set(re.findall(folder, source)) - {"files"}  # the default storage of Django, which nothing uses
    assert {"audio", "journal", "work", "staff.txt"} <= found
    named = set(first_cells("Files"))
    assert found <= named
    assert {name for name in LEFT_OUT if not name.startswith("omi.sqlite3")} <= named


@pytest.mark.parametrize("heading", ["Documents", "Rows", "Files"])
def test_every_line_says_how_long_who_and_how(heading: str) -> None:
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    for row in (line for line in part.splitlines() if line.startswith("| ")):
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 5, row
        assert all(cells), row


def test_what_holds_a_uid_is_erased_with_the_account_or_says_why_not() -> None:
    """Models with a user's id: the last cell of their line names the account, or what else takes them away."""
    lines = {name: line for line in PAGE.splitlines() for name in re.findall(r"`(\w+\.\w+)`", line.split(" | ")[0])}
    for model in apps.get_models():
        if any(field.name == "uid" for field in model._meta.get_fields()):
            erased = lines[model._meta.label].rstrip(" |").split(" | ")[-1]
            assert re.search(r"account|not|as its samples", erased), model._meta.label
            assert "nothing of people" not in erased


def test_the_parts_of_an_erasure_are_what_the_map_counts_on() -> None:
    expected = {
        "runs", "voices", "vectors", "audio", "journals", "events", "search", "originals", "documents", "rows",
        "webhooks", "feedback", "experiments", "registry", "hosts", "recaps", "insights", "links", "reshaping",
        "offline", "vocabulary",
    }  # fmt: skip
    assert (
        {name for name, _ in user_parts("nobody")} == {name for name, _ in memory_parts("nobody", "none")} == expected
    )


def test_links_of_the_map_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w./-]+)", PAGE):
        assert (Path(ROOT / "docs") / target).exists()
