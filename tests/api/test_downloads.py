"""A memory as a file: strict readers take it, whatever was said and however people are named."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from memories import downloads
from memories.api import downloads as api
from memories.shapes import ActionItem, Event, Memory, Structured
from omi.accounts import users
from speakers import people
from tests.api.conftest import Caller
from transcription.segments import Segment

HOSTILE = "One\n\n2\n00:00:00,000 --> 00:00:01,000\n<b>two</b> & <v Eve>three</v> -->"
"""Text that would end a subtitle, begin another, and be markup."""


def memory(*segments: Segment) -> Memory:
    return Memory(id="m", created_at=datetime(2026, 11, 20, 9, tzinfo=UTC), transcript_segments=list(segments))


def said(text: str, start: float = 0.0, end: float = 2.0, **fields: Any) -> Segment:
    return Segment(text=text, start=start, end=end, **fields)


def test_a_hostile_text_stays_one_subtitle() -> None:
    made = memory(said(HOSTILE, 1.0, 5.0), said("four", 5.0, 6.0))
    read = list(srt.parse(downloads.srt(made, {}, ""), ignore_errors=False))
    assert [item.content for item in read] == [
        "Speaker 1: One 2 00:00:00,000 → 00:00:01,000 <b>two</b> & <v Eve>three</v> →",
        "Speaker 1: four",
    ]
    cues = webvtt.from_string(downloads.vtt(made, {}, "")).captions
    assert len(cues) == 2
    assert (cues[0].start_in_seconds, cues[1].start) == (1, "00:00:05.000")


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.text(max_size=300), st.floats(0, 90_000), st.floats(0, 120), st.text(max_size=30)), max_size=6
    )
)
def test_strict_readers_take_any_text_times_and_names(talk: list[tuple[str, float, float, str]]) -> None:
    names = {f"p{number}": name for number, (_, _, _, name) in enumerate(talk)}
    made = memory(
        *(
            said(text, start, start + length, person_id=f"p{number}")
            for number, (text, start, length, _) in enumerate(talk)
        )
    )
    wanted = list(downloads.cues(made, names, ""))
    read = list(srt.parse(downloads.srt(made, names, ""), ignore_errors=False))
    assert len(read) == len(wanted)
    assert all(item.start < item.end for item in read)
    assert [item.index for item in read] == list(range(1, len(read) + 1))
    text = downloads.vtt(made, names, "")
    assert text.count("-->") == len(wanted) == len(webvtt.from_buffer(io.StringIO(text)).captions)
    assert "\n\n\n" not in text


def test_a_long_segment_becomes_subtitles_one_after_another() -> None:
    text = " ".join(f"word{number}" for number in range(60))
    cues = list(downloads.cues(memory(said(text, 10.0, 40.0)), {}, ""))
    assert all(len(cue.text) <= downloads.CUE_CHARACTERS for cue in cues)
    assert " ".join(cue.text for cue in cues) == text
    assert (cues[0].start, cues[-1].end) == (10.0, pytest.approx(40.0))
    assert [cue.end for cue in cues[:-1]] == [cue.start for cue in cues[1:]]


def test_a_word_without_end_is_divided_in_time_that_grows_with_it() -> None:
    """Nine million characters, as one request may bring, took the web process more than a minute."""
    began = time.process_time()
    cues = list(downloads.cues(memory(said("x" * 4_000_000, 0.0, 60.0)), {}, ""))
    assert time.process_time() - began < 3.0
    assert sum(len(cue.text) for cue in cues) == 4_000_000
    assert {len(cue.text) for cue in cues[:-1]} == {downloads.CUE_CHARACTERS}


def test_chinese_is_divided_although_it_has_no_blanks() -> None:
    cues = list(downloads.cues(memory(said("今天天气很好" * 40, 0.0, 60.0)), {}, ""))
    assert "".join(cue.text for cue in cues) == "今天天气很好" * 40
    assert all(len(cue.text) <= downloads.CUE_CHARACTERS for cue in cues)


def test_markdown_shows_what_was_said_and_takes_none_of_it_for_markup() -> None:
    made = memory(said("# [x](javascript:1) *a* <img src=y>"))
    made.structured = Structured(
        title="1. Plan\n# not a heading",
        action_items=[ActionItem(description="Call Anna", completed=True), ActionItem(description="- pay")],
        events=[Event(title="Boat", start=datetime(2026, 11, 22, 23, 30, tzinfo=UTC), duration=60)],
    )
    text = downloads.markdown(made, {}, "", downloads.ZoneInfo("Asia/Kathmandu"))
    assert text.splitlines()[0] == "# 1\\. Plan \\# not a heading"
    assert "- [x] Call Anna" in text
    assert "- [ ] \\- pay" in text
    assert "- 2026-11-23 05:15, 60 min: Boat" in text
    assert "\\# \\[x\\]\\(javascript:1\\) \\*a\\* \\<img src=y\\>" in text


@pytest.mark.parametrize(
    ("file_format", "content_type", "part"),
    [
        ("srt", "application/x-subrip; charset=utf-8", "Anna: "),
        ("vtt", "text/vtt; charset=utf-8", "<v Anna>"),
        ("txt", "text/plain; charset=utf-8", "Anna: "),
        ("md", "text/markdown; charset=utf-8", "**Anna**"),
        ("json", "application/json; charset=utf-8", '"title": "Boat trip"'),
    ],
)
def test_each_format_has_the_present_names(
    alice: Caller, make_memory: Callable[..., Memory], file_format: str, content_type: str, part: str
) -> None:
    person = people.create_person("alice", "Ann")
    made = make_memory(transcript_segments=[said("We go by boat.", person_id=person.id)])
    people.rename_person("alice", person.id, "Anna")
    users.update_user("alice", name="Alice")
    answer = alice.get(f"/v1/memories/{made.id}/download/{file_format}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{made.id}.{file_format}"'
    assert part in answer.content.decode()


def test_a_strangers_memory_and_an_unknown_format_are_404(
    alice: Caller, bob: Caller, make_memory: Callable[..., Memory]
) -> None:
    made = make_memory()
    assert bob.get(f"/v1/memories/{made.id}/download/srt").status_code == 404
    answer = alice.get(f"/v1/memories/{made.id}/download/exe")
    assert (answer.status_code, "srt, vtt, txt, md, json" in answer.json()["detail"]) == (404, True)


def test_one_user_has_one_download_made_at_a_time_and_nobody_else_waits_for_it(
    alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at a time of a long memory took the interpreter from everybody: a neighbour's request took 20 s."""
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 0.0)
    with api.DOWNLOADS.held("alice", per_user=1, in_all=2):
        refused = alice.get("/v1/memories/m/download/srt")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert bob.get("/v1/memories/m/download/srt").status_code == 404
    assert alice.get("/v1/memories/m/download/srt").status_code == 404
