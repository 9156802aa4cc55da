"""A deployment's own voices beside the shipped ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings as SettingsWrapper

from omi.core.providers import one
from speakers import cohort
from speakers.calibration import calibration_of, own_cohort_path
from speakers.models import ProfileVersion, VoiceSample, pack, pack_copies

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_folder(settings: SettingsWrapper, tmp_path: Path) -> None:
    settings.OMI_DATA_DIR = tmp_path


def user(uid: str, *, seconds: float = 20.0, copies: bool = True, confirmed: bool = True) -> np.ndarray:
    """A user with a profile of random numbers, which are given back."""
    voices = one("voices")
    rows = np.random.default_rng(abs(hash(uid)) % 2**32).normal(size=(4, voices.dimension)).astype(np.float32)
    sample = VoiceSample.objects.create(
        uid=uid, source=VoiceSample.Source.PROFILE, seconds=seconds, voiced_seconds=seconds, confirmed=confirmed
    )
    ProfileVersion.objects.create(
        uid=uid, number=1, engine=voices.name, engine_version=voices.version, vector=pack(rows[0]),
        copies=pack_copies(rows) if copies else b"", voiced_seconds=seconds, sample_ids=[str(sample.id)], reason="-",
    )  # fmt: skip
    return rows


def shipped() -> int:
    calibration = calibration_of(one("voices").name, one("voices").version)
    assert calibration is not None
    return calibration.cohort.shape[1]


def test_voices_of_users_who_agree_stand_beside_the_shipped_ones(capsys: pytest.CaptureFixture[str]) -> None:
    before = shipped()
    for number in range(6):
        user(f"user-{number}")
    call_command("cohort", *[f"user-{number}" for number in range(6)])
    assert "6 voices" in capsys.readouterr().out
    assert shipped() == before + 6
    call_command("cohort", "--remove")
    assert shipped() == before


def test_the_file_holds_embeddings_in_another_order_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort.secrets, "SystemRandom", lambda: np.random.RandomState(3))
    rows = [user(f"user-{number}") for number in range(8)]
    assert cohort.build([f"user-{number}" for number in range(8)], one("voices")) == 8
    path = own_cohort_path(one("voices").name, one("voices").version)
    kept = np.load(path, allow_pickle=False)
    assert kept.shape == (4, 8, one("voices").dimension)
    assert b"user-" not in path.read_bytes()
    order = [int(np.argmax(kept[0].astype(np.float32) @ row[0])) for row in rows]
    assert sorted(order) == list(range(8)), "each voice once"
    assert order != list(range(8)), "and not in the order of the users"
    assert [item.name for item in path.parent.iterdir()] == [path.name], "nothing else is left there"


def test_too_few_voices_are_refused_because_one_would_know_whose_they_are() -> None:
    for number in range(6):
        user(f"user-{number}", seconds=10.0 if number == 0 else 20.0, copies=number != 1, confirmed=number != 2)
    with pytest.raises(CommandError, match="3 voices"):
        call_command("cohort", *[f"user-{number}" for number in range(6)])
    assert not own_cohort_path(one("voices").name, one("voices").version).exists()
