"""The contract of audio objects: the file system, and the bucket adapter on the Cloud Storage emulator.

What the emulator does not do, so that it is not shown here: it checks neither signature nor expiry of an address, it
ignores ``if_generation_match``, and it never carries out a lifecycle.
"""

from __future__ import annotations

import hashlib
import io
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from django.utils import timezone

from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["files", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "files":
        chosen: dict[str, Any] = {
            **django_settings.STORAGES["audio"],
            "OPTIONS": {**django_settings.STORAGES["audio"]["OPTIONS"], "location": tmp_path / "audio"},
        }
    else:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs_url"))
        chosen = {
            "BACKEND": "omi.stores.gcs.AudioBucket",
            "OPTIONS": {"bucket_name": "omi-audio", "project_id": "demo-contract"},
        }
    with override_settings(STORAGES={**django_settings.STORAGES, "audio": chosen}):
        yield request.param


@pytest.mark.parametrize("form", ["bytes", "file", "upload", "iterable", "empty"])
def test_bytes_come_back_as_they_were(storage: str, form: str) -> None:
    content = b"" if form == "empty" else bytes(range(256)) * 5000
    given: Any = {
        "bytes": content, "empty": content, "file": io.BytesIO(content), "upload": SimpleUploadedFile("x.wav", content),
        "iterable": (content[start : start + 1000] for start in range(0, len(content), 1000)),
    }[form]  # fmt: skip
    made = audio.put("u", "recording", given, memory_id="m", keep_for=None)
    assert (made.size, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with audio.open(made) as file:
        assert file.read() == content
    assert audio.get(made.name) == made


def test_a_part_can_be_read_without_the_rest(storage: str) -> None:
    """For Range requests of the player."""
    content = bytes(range(256)) * 2000
    made = audio.put("u", "recording", content, keep_for=None)
    with audio.open(made) as file:
        file.seek(100_000)
        assert file.read(50) == content[100_000:100_050]
        file.seek(0)
        assert file.read(4) == content[:4]


def test_names_give_nothing_away_and_take_nothing_from_the_client(storage: str) -> None:
    """The original took a path from a file name and gave objects names that can be guessed."""
    for suffix, kept in ((".wav", ".wav"), ("../../etc/passwd", ""), (".WAV", ".wav"), (".a b", ""), ("", ""),
                         (".x\x00", ""), ("." + "x" * 50, "")):  # fmt: skip
        made = audio.put("uid-of-ana", "upload", b"x", memory_id="memory-7", suffix=suffix, keep_for=None)
        stem, dot, end = made.name.partition(".")
        assert (len(stem), dot + end) == (32, kept)
        assert "ana" not in made.name
        assert "memory" not in made.name
    assert len(set(AudioObject.objects.values_list("name", flat=True))) == 7


def test_deleting_removes_bytes_then_marks_the_row_and_may_be_repeated(storage: str) -> None:
    made = audio.put("u", "recording", b"voice", keep_for=None)
    assert audio.exists(made)
    assert audio.delete(made) is True
    assert audio.delete(made) is False
    assert audio.delete(made.name) is False
    assert audio.delete("never-was") is False
    assert not audio.exists(made)
    with pytest.raises(audio.AudioNotFound):
        audio.open(made)
    with pytest.raises(audio.AudioNotFound):
        audio.get(made.name)


def test_a_stranger_gets_nothing(storage: str) -> None:
    made = audio.put("owner", "recording", b"voice", memory_id="m", keep_for=None)
    with pytest.raises(audio.AudioNotFound):
        audio.get(made.name, uid="stranger")
    assert audio.get(made.name, uid="owner") == made
    assert audio.for_memory("stranger", "m") == []
    assert audio.forget_memory("stranger", "m") == 0
    assert audio.forget_user("stranger") == 0
    assert audio.exists(made)


def test_forgetting_a_user_whose_id_begins_like_anothers_takes_only_theirs(storage: str) -> None:
    """A fault of the original: deletion by prefix hit other users."""
    mine = audio.put("ana", "recording", b"1", keep_for=None)
    other = audio.put("ana2", "recording", b"2", keep_for=None)
    assert audio.forget_user("ana") == 1
    assert not audio.exists(mine)
    assert audio.exists(other)


def test_of_one_memory_and_purpose(storage: str) -> None:
    first = audio.put("u", "recording", b"1", memory_id="m", keep_for=None)
    second = audio.put("u", "upload", b"2", memory_id="m", keep_for=None)
    audio.put("u", "recording", b"3", memory_id="n", keep_for=None)
    assert audio.for_memory("u", "m") == [first, second]
    assert audio.for_memory("u", "m", "upload") == [second]
    assert audio.forget_memory("u", "m") == 2
    assert len(list(audio.for_user("u"))) == 1


def test_a_local_copy_is_a_copy(storage: str, tmp_path: Path) -> None:
    made = audio.put("u", "recording", b"voice", keep_for=None)
    copy = audio.local_copy(made, tmp_path)
    copy.write_bytes(b"changed")
    with audio.open(made) as file:
        assert file.read() == b"voice"


def test_deadlines_are_rows_and_are_kept(storage: str) -> None:
    """A fault of the original: deletion was a thread asleep for 300 s, gone with its process."""
    kept = audio.put("u", "recording", b"1", keep_for=None)
    short = audio.put("u", "upload", b"2", keep_for=timedelta(hours=1))
    over = audio.put("u", "upload", b"3", keep_for=timedelta(seconds=-1))
    assert audio.sweep_expired() == 1
    assert [audio.exists(row) for row in (kept, short, over)] == [True, True, False]
    audio.keep(short, timedelta(seconds=-1))
    assert audio.sweep_expired() == 1
    assert audio.sweep_expired() == 0
    assert not audio.exists(short)


def test_bytes_without_a_complete_row_are_swept(storage: str) -> None:
    made = audio.put("u", "upload", b"half", keep_for=None)
    AudioObject.objects.filter(pk=made.pk).update(complete=False, created_at=timezone.now() - audio.ABANDONED_AFTER)
    with pytest.raises(audio.AudioNotFound):
        audio.get(made.name)
    assert audio.sweep_expired() == 1
    assert not audio.exists(made)


def test_a_signed_address_lives_as_long_as_was_asked_for(storage: str) -> None:
    made = audio.put("u", "upload", b"for the vendor", keep_for=None)
    url = audio.signed_url(made, 900)
    if storage == "files":
        assert url is None
        return
    assert url is not None
    asked = parse_qs(urlsplit(url).query)
    assert asked["X-Goog-Expires"] == ["900"]
    assert "X-Goog-Signature" in asked
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"for the vendor"
    assert parse_qs(urlsplit(str(audio.signed_url(made, 10**9))).query)["X-Goog-Expires"] == [str(7 * 24 * 3600)]


def test_a_source_that_breaks_off_leaves_no_readable_object(storage: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise OSError("the client went away")

    with pytest.raises(OSError, match="went away"):
        audio.put("u", "upload", broken(), memory_id="m", keep_for=None)
    assert audio.for_memory("u", "m") == []


def test_a_user_erased_during_an_upload_keeps_nothing(storage: str) -> None:
    def erased_meanwhile() -> Iterator[bytes]:
        yield b"some"
        audio.forget_user("u")
        yield b"more"

    with pytest.raises(audio.AudioNotFound):
        audio.put("u", "upload", erased_meanwhile(), keep_for=None)
    (row,) = AudioObject.objects.filter(uid="u")
    assert row.deleted_at is not None
    assert not audio.exists(row)


def test_a_large_upload_is_not_held_in_memory(storage: str) -> None:
    """64 MB pass through while the heap grows by far less."""
    import tracemalloc

    piece = bytes(1024 * 1024)
    tracemalloc.start()
    made = audio.put("u", "upload", (piece for _ in range(64)), keep_for=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.size == 64 * 1024 * 1024
    assert peak < 32 * 1024 * 1024
    audio.delete(made)


def test_files_are_for_the_server_alone(tmp_path: Path) -> None:
    """The original's bucket was readable by everybody."""
    made = audio.put("u", "recording", b"voice", keep_for=None)
    path = Path(audio.storage().path(made.name))
    assert path.stat().st_mode & 0o077 == 0
    assert audio.signed_url(made, 60) is None


def test_the_bucket_is_never_public() -> None:
    from omi.stores.gcs import AudioBucket

    bucket = AudioBucket(bucket_name="b", project_id="p")
    assert bucket.default_acl is None
    assert bucket.querystring_auth is True


def test_an_object_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator ignores the precondition, so the request itself is looked at."""
    from omi.stores.gcs import AudioBucket

    asked: list[dict[str, Any]] = []

    class Blob:
        cache_control = ""

        def upload_from_file(self, content: Any, **options: Any) -> None:
            asked.append(options)

    class Bucket:
        def blob(self, name: str, **options: Any) -> Blob:
            return Blob()

    monkeypatch.setattr(AudioBucket, "bucket", property(lambda self: Bucket()))
    AudioBucket(bucket_name="b")._save("name", io.BytesIO(b"x"))
    assert asked[0]["if_generation_match"] == 0


def test_a_bucket_that_is_out_of_reach_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        def save(self, *_: Any) -> str:
            raise ConnectionError("http://10.0.0.1 refused")

    monkeypatch.setattr(audio, "storage", Down)
    with pytest.raises(ProviderError) as caught:
        audio.put("u", "upload", b"x", memory_id="m", keep_for=None)
    assert caught.value.retryable
    assert "10.0.0.1" not in caught.value.message
    assert audio.for_memory("u", "m") == []


def test_two_uploads_at_once_never_share_a_name(storage: str) -> None:
    """A fault of the original: temporary files named by memory collided."""
    names = {audio.put("u", "upload", b"x", memory_id="m", keep_for=None).name for _ in range(20)}
    assert len(names) == 20
