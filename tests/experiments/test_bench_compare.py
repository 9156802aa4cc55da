"""``make bench-compare`` says slower only beyond the noise of both sides, and its page is made of the JSON."""

from __future__ import annotations

from bench import compare


def figure(ratio: float, noise: float = 0.05) -> dict[str, float]:
    return {"ratio": ratio, "low": ratio * (1 - noise), "high": ratio * (1 + noise)}


def test_slower_is_said_beyond_both_intervals_alone() -> None:
    before = {"a": figure(1.0), "b": figure(1.0), "c": figure(1.0), "d": figure(1.0, 0.4)}
    now = {"a": figure(1.1), "b": figure(1.5), "c": figure(0.6), "d": figure(1.5), "e": figure(1.0)}
    assert compare.compared(now, before) == {
        "a": "as before", "b": "slower", "c": "faster", "d": "as before", "e": "new",
    }  # fmt: skip


def test_the_page_of_history_is_made_of_the_json() -> None:
    assert compare.PAGE.read_text() == compare.page(compare.history())
    assert compare.history()[-1]["figures"].keys() >= {"never worse", "vote of three vendors"}
