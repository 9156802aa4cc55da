"""What is no whole archive of this version is refused in one sentence, and the data folder stays as it was."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import shutil
import sqlite3
import stat
import zipfile
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from memories.backup import archive as archives
from memories.backup import database, making, restoring
from memories.backup.archive import MANIFEST, BackupError
from tests.support.migrated import put_database

Change = Callable[[dict[str, bytes], dict[str, Any]], None]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def data(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an installation with a database, a key and a recording."""
    folder = tmp_path / "data"
    settings.OMI_DATA_DIR = folder
    monkeypatch.setitem(connection.settings_dict, "NAME", str(put_database(folder)))
    (folder / "secret.key").write_text("k" * 60)
    (folder / "audio").mkdir()
    (folder / "audio" / "one.wav").write_bytes(b"voice" * 1000)
    return folder


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    return making.take(tmp_path / "backup.zip").file


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but what SQLite lays beside a database that is open."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(database.LEAVINGS))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def rewritten(file: Path, change: Change) -> Path:
    """The archive after somebody changed its parts and its manifest."""
    with zipfile.ZipFile(file) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    manifest = json.loads(parts.pop(MANIFEST))
    change(parts, manifest)
    target = file.with_name("changed.zip")
    with zipfile.ZipFile(target, "w") as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
        packed.writestr(MANIFEST, json.dumps(manifest))
    return target


def refused(file: Path, data: Path, *, force: bool = True) -> str:
    """The sentence of a restore that is refused. Nothing may have changed."""
    before = content(data)
    with pytest.raises(BackupError) as told:
        restoring.put_back(file, force=force)
    assert content(data) == before
    assert [path.name for path in data.iterdir() if path.name.startswith(".")] == []
    return str(told.value)


def named(manifest: dict[str, Any], name: str, data: bytes) -> None:
    """Add a part to a manifest, as a forger would."""
    manifest["parts"].append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})


@pytest.mark.parametrize("part", [0, 1, 100, 5000, -1])
def test_a_truncated_archive(archive: Path, data: Path, part: int) -> None:
    archive.write_bytes(archive.read_bytes()[:part])
    assert "not a whole archive" in refused(archive, data)


def test_every_flipped_byte_of_a_recording_is_found(archive: Path, data: Path) -> None:
    whole = archive.read_bytes()
    place = whole.index(b"voicevoice") + 3
    archive.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
    assert "damaged" in refused(archive, data)


def test_whatever_bytes_are_changed_nothing_but_the_original_is_unpacked(tmp_path: Path) -> None:
    """Seeded damage of a small archive: bytes changed, taken out, put in."""
    source, small, torn = tmp_path / "one", tmp_path / "small.zip", tmp_path / "torn.zip"
    source.write_bytes(b"voice" * 40)
    with archives.writing(small) as writer:
        writer.add(source, "audio/one.wav")
        writer.finish(
            archives.Manifest(
                format=1, made_at=datetime.now(UTC), database="sqlite", migrations=[("a", "b")], parts=writer.parts
            )
        )
    chance, refusals = random.Random(5), 0
    for number in range(400):
        damaged = bytearray(small.read_bytes())
        at = chance.randrange(len(damaged))
        damaged[at : at + chance.randrange(0, 12)] = chance.randbytes(chance.randrange(0, 12))
        torn.write_bytes(damaged)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            with archives.reading(torn) as reader:
                reader.unpack(folder)
        except BackupError:
            refusals += 1
        else:
            assert set(content(folder).values()) == {b"voice" * 40}
    assert refusals > 300


def test_another_recording_with_sound_zip_sums(archive: Path, data: Path) -> None:
    def change(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
        parts["audio/one.wav"] = b"other" * 1000

    assert "does not have the sum of the manifest" in refused(rewritten(archive, change), data)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/outside", "audio/../../outside", "audio//one", "./one", "..", "audio/./x", "audio/"]
)
def test_a_name_that_leads_elsewhere(archive: Path, data: Path, name: str) -> None:
    def change(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
        parts[name] = b"evil"
        named(manifest, name, b"evil")

    assert "outside of the data folder" in refused(rewritten(archive, change), data)
    assert not list(data.parent.rglob("outside"))


def test_a_link_in_the_archive(archive: Path, data: Path) -> None:
    def change(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
        named(manifest, "audio/link", b"/etc/passwd")

    changed = rewritten(archive, change)
    link = zipfile.ZipInfo("audio/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(changed, "a") as packed:
        packed.writestr(link, b"/etc/passwd")
    assert "outside of the data folder" in refused(changed, data)


def _format(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["format"] = 2


def _newer(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["migrations"].append(["memories", "9999_of_the_future"])


def _postgres(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["database"] = "postgresql"


def _extra(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    parts["audio/more.wav"] = b"more"


def _missing(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del parts["audio/one.wav"]


def _no_database(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del parts["omi.sqlite3"]
    manifest["parts"] = [part for part in manifest["parts"] if part["name"] != "omi.sqlite3"]


def _wal(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    parts["omi.sqlite3-wal"] = b"wal"
    named(manifest, "omi.sqlite3-wal", b"wal")


def _no_parts(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del manifest["parts"]


def _torn_database(parts: dict[str, bytes], manifest: dict[str, Any]) -> None:
    torn = b"no database at all" * 100
    parts["omi.sqlite3"] = torn
    manifest["parts"] = [part for part in manifest["parts"] if part["name"] != "omi.sqlite3"]
    named(manifest, "omi.sqlite3", torn)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_format, "has format 2; this version restores format 1"),
        (_newer, "made by a newer version"),
        (_postgres, "DATABASE_URL here says sqlite"),
        (_extra, "just the files of its manifest"),
        (_missing, "just the files of its manifest"),
        (_no_database, "holds no omi.sqlite3"),
        (_wal, "a file that no backup has"),
        (_no_parts, "manifest of the archive cannot be read"),
        (_torn_database, "database in the archive is damaged"),
    ],
)
def test_what_does_not_fit(archive: Path, data: Path, change: Change, sentence: str) -> None:
    assert sentence in refused(rewritten(archive, change), data)


def test_a_zip_of_something_else_and_no_file(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("hello", "world")
    assert "has no manifest" in refused(other, data)
    assert "No such file" in refused(tmp_path / "none.zip", data)


def test_a_folder_with_something_in_it(archive: Path, data: Path) -> None:
    assert "is not empty" in refused(archive, data, force=False)


def test_too_small_a_disk_is_told_before_anything_is_written(
    archive: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, 1000))
    assert "Too little space" in refused(archive, data)


def test_a_disk_that_fills_up_meanwhile(archive: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(reader: object, folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.Reader, "unpack", full)
    assert "no space left" in refused(archive, data)


def test_a_rename_that_fails_is_undone(archive: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, moves = Path.rename, []

    def rename(source: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 5:
            raise OSError(errno.EIO, "Input/output error")
        return real(source, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert "Input/output error" in refused(archive, data)
    assert len(moves) > 5


def test_what_was_replaced_and_stays_is_named(archive: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is restored all the same: who was erased since is to be erased again."""
    real = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda folder, **more: None if ".replaced-" in str(folder) else real(folder, **more)
    )
    restoring.put_back(archive, force=True)
    (left,) = restoring.replaced(data)
    assert (left / "audio" / "one.wav").exists()
    assert (data / "audio" / "one.wav").exists()


def test_a_database_in_use_is_not_replaced(archive: Path, data: Path) -> None:
    server = sqlite3.connect(data / "omi.sqlite3")
    server.execute("PRAGMA journal_mode=WAL")
    server.execute("SELECT COUNT(*) FROM django_migrations").fetchone()
    try:
        with pytest.raises(BackupError, match="A server still uses"):
            restoring.put_back(archive, force=True)
    finally:
        server.close()
    restoring.put_back(archive, force=True)


def test_a_backup_that_finds_no_space_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(archives.Writer, "add", full)
    with pytest.raises(BackupError, match="no space left"):
        making.take(tmp_path / "backup.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_places_where_no_backup_can_be_made(data: Path, archive: Path, tmp_path: Path) -> None:
    for target, sentence in (
        (archive, "is there already"),
        (tmp_path / "nowhere" / "b.zip", "is not a folder"),
        (data, "within the data folder"),
        (data / "b.zip", "within the data folder"),
    ):
        with pytest.raises(BackupError, match=sentence):
            making.take(target)
    (data / "audio" / "link").symlink_to("/etc/hostname")
    with pytest.raises(BackupError, match="is a link"):
        making.take(tmp_path / "linked.zip")
    assert not (tmp_path / "linked.zip").exists()


def test_copies_in_work_and_models_stay_out(data: Path, tmp_path: Path) -> None:
    for name in (
        "work/1/copy.wav",
        "locks/x",
        "models/whisper/model.bin",
        "uploads/x",
        ".restore-1/x",
        "journal/.removed/x/audio",
    ):
        (data / name).parent.mkdir(parents=True)
        (data / name).write_bytes(b"x")
    made = making.take(tmp_path / "backup.zip")
    assert {part.name for part in made.manifest.parts} == {"omi.sqlite3", "secret.key", "audio/one.wav"}


def test_stores_of_vendors_are_named(data: Path, settings: Any) -> None:
    settings.OMI_DOCUMENTS, settings.OMI_VECTORS, settings.OMI_AUDIO = "firestore", "pinecone", "gcs"
    told = "\n".join(making.elsewhere())
    for name in ("Firestore", "Pinecone", "Cloud Storage"):
        assert name in told


def test_without_the_client_programs_of_postgresql_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(BackupError, match="pg_dump is not installed here"):
        database.dump_postgres(tmp_path / "dump")


def test_receipts_that_are_none(data: Path, archive: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "receipts.json"
    wrong.write_text("{}")
    before = content(data)
    for file, sentence in ((wrong, "holds no receipts"), (tmp_path / "none.json", "cannot be read")):
        with pytest.raises(CommandError, match=sentence):
            call_command("restore", str(archive), "--receipts", str(file))
    assert content(data) == before
