"""Never worse: whether a new transcript may replace the one that is shown. Pure functions over segments.

No single figure judges. The original's 0.85 length rule threw away correct transcripts that dropped hallucinations and
let longer hallucinated ones pass: here it is one signal among coverage of the speech regions,
loops, speaking rate, script, language and agreement with the shown and the live transcripts.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from memories.language_detection import FUNCTION_WORDS, written_in
from memories.pipeline.rules.invented_phrases import known
from memories.pipeline.rules.text_similarity import same_speech
from memories.pipeline.rules.tokens import tokens, tokens_in
from transcription.languages import base
from transcription.segments import Segment

Region = tuple[float, float]
Timed = tuple[str, float, float]
"""A word with its start and end, in seconds."""

LENGTH_RATIO: Final = 0.85  # the original's guard, on words
MIN_COVERAGE: Final = 0.5  # of the speech seconds that lie under new segments
COVERAGE_LOSS: Final = 0.1  # less than what is shown, together with a short text: content was lost
END_SLACK: Final = 1.5  # seconds of shown speech after the recording's end: a last word's guessed end is a second out
MAX_LOOP: Final = 0.35  # share of words inside immediate repetitions
MAX_RATE: Final = 7.0  # words per second of speech; the fastest speakers stay below 6
NEW_LOOP: Final = 10  # words in loops beyond those of the shown transcript: "no, no, no, no" is said, this is not
MAX_OUTSIDE: Final = 0.5  # share of the new text's words where nobody speaks
MAX_MADE_UP: Final = 0.1  # of those, where the shown transcript has nothing either: the detector may have missed speech
KNOWN_MADE_UP: Final = 0.02  # the same, where what is made up is what recognisers are known to make up
SLACK: Final = 0.3  # seconds by which a vendor's word may lie beside the speech that it was heard in
BRIDGED: Final = 1.0  # seconds beside a word that count as covered: what lies between two of them is not missed
ANOTHER: Final = 3.0  # seconds of a voice that one label for everybody hides
COVERAGE_GAIN: Final = 0.05  # of the speech seconds, which one engine must hear more to replace its own text
MIN_AGREEMENT: Final = 0.15  # with the best live transcript, where live ones agree with each other
LIVE_AGREEMENT: Final = 0.5

_SCRIPTS: Final = {
    "ru": "CYRILLIC", "uk": "CYRILLIC", "bg": "CYRILLIC", "sr": "", "el": "GREEK", "he": "HEBREW", "ar": "ARABIC",
    "fa": "ARABIC", "ur": "ARABIC", "hi": "DEVANAGARI", "ne": "DEVANAGARI", "th": "THAI", "ko": "HANGUL", "zh": "CJK",
    "ja": "", "ka": "GEORGIAN", "hy": "ARMENIAN", "ta": "TAMIL", "bn": "BENGALI",
}  # fmt: skip
"""Script of languages that are not written in Latin letters ("" = several, not judged)."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a new transcript is accepted, with sentences that say why and the figures that they rest on."""

    accepted: bool
    reasons: list[str]
    figures: dict[str, float] = field(default_factory=dict)


def assess(
    *,
    new: Sequence[Segment],
    shown: Sequence[Segment],
    live: Mapping[str, Sequence[Segment]],
    regions: Sequence[Region],
    language: str | None = None,
    heard_language: str | None = None,
    seconds: float | None = None,
    cut_off: bool = False,
    timed: Sequence[Timed] | None = None,
    same_engine: bool = False,
    length_ratio: float = LENGTH_RATIO,
    min_coverage: float = MIN_COVERAGE,
) -> Assessment:
    """Decide whether ``new`` may replace ``shown``. ``regions``: speech in the recording, seconds; ``live``: other
    transcripts of the same conversation by model.

    ``timed``: the new transcript's words, each with its own time. Without them a word is as long as its segment, and
    what was made up in the pauses of a true segment is not seen. ``same_engine``: the engine that made the shown
    transcript made the new one, too. ``length_ratio`` and ``min_coverage``: the bounds in force.

    ``seconds``: length of the recording; ``cut_off``: its file ends earlier than it says. What is shown after its end
    is speech that the new transcript cannot have.
    """
    words, before = tokens(new), tokens(shown)
    speech = sum(end - start for start, end in regions)
    lost = _after(shown, seconds)
    each = spread(new) if timed is None else [item for word in timed for item in _tokens_of(*word)]
    silent = unsounded(each, regions)
    made_up = unsounded(each, [*regions, *_padded(shown)]) if regions else []
    spans = merged(new) if timed is None else _joined((start - BRIDGED, end + BRIDGED) for _, start, end in timed)
    figures = {
        "words": float(len(words)),
        "shown_words": float(len(before)),
        "length_ratio": round(len(words) / len(before), 3) if before else 0.0,
        "speech_seconds": round(speech, 2),
        "coverage": round(covered(spans, [*regions, *lost]), 3),
        "shown_coverage": round(coverage(shown, [*regions, *lost]), 3),
        "shown_after_the_end": round(sum(end - start for start, end in lost), 2),
        "outside": round(len(silent) / len(each), 3) if each else 0.0,
        "made_up": round(len(made_up) / len(each), 3) if each else 0.0,
        "known_inventions": float(known(made_up)),
        "loop": round(loop_share(words), 3),
        "new_loop_words": float(looped(words) - looped(before)),
        "rate": round(len(words) / speech, 2) if speech else 0.0,
        "agreement": round(max((agreement(words, tokens(item)) for item in live.values()), default=0.0), 3),
        "live_agreement": round(_among(live), 3),
    }
    if not words:
        reason = "the new transcript is empty" if before or speech >= 0.3 else "nobody speaks, and nothing was shown"
        return Assessment(not before and speech < 0.3, [reason], figures)
    if len(made_up) == len(each):
        return Assessment(False, ["no speech lies under any word of the new transcript"], figures)
    bounds = (length_ratio, min_coverage)
    against = list(_against(figures, words, language, live, compared=bool(before), bounds=bounds))
    if before:
        others = [shown, *live.values()]
        alike = max(agreement(words, tokens(item)) for item in others)
        stranger = _other_language(words, before, alike, base(language), base(heard_language))
        stranger = stranger or _other_speech(new, shown, others, language)
        against += [stranger] if stranger else []
        if same_engine and not against and not _gains(figures, new, shown, language, regions):
            against = ["the same engine heard it before, and nothing speaks for hearing it better now"]
    if lost and seconds is not None:
        against.insert(0, _ends_early(shown, seconds, cut_off=cut_off))
    if not before and against and "loop" not in against[0]:
        # Nothing is shown yet: a doubtful text is better than none, a hallucinated loop is not.
        return Assessment(True, [f"nothing was shown before, although {against[0]}"], figures)
    return Assessment(not against, against or ["the new transcript covers what was said"], figures)


def _against(
    figures: dict[str, float], words: Sequence[str], language: str | None,
    live: Mapping[str, Sequence[Segment]], *, compared: bool, bounds: tuple[float, float],
) -> list[str]:  # fmt: skip
    against = []
    if figures["loop"] > MAX_LOOP:
        against.append("the new transcript repeats itself in a loop")
    elif compared and figures["new_loop_words"] > NEW_LOOP:
        against.append("the new transcript repeats itself in a loop where the shown one does not")
    if figures["rate"] > MAX_RATE:
        against.append("the new transcript holds more words than can be said in that time")
    if wrong_script(words, language):
        against.append("the new transcript is written in another language's letters")
    if figures["speech_seconds"] > 0 and figures["outside"] > MAX_OUTSIDE:
        against.append("most of the new transcript lies where nobody speaks")
    elif compared and figures["made_up"] > (KNOWN_MADE_UP if figures["known_inventions"] else MAX_MADE_UP):
        against.append("part of the new transcript lies where nobody speaks, and the shown one has nothing there")
    if compared and figures["coverage"] < min(bounds[1], figures["shown_coverage"]):
        against.append("the new transcript leaves out much of what is said")
    elif compared and figures["length_ratio"] < bounds[0]:
        if figures["coverage"] < figures["shown_coverage"] - COVERAGE_LOSS:
            against.append("the new transcript is shorter and leaves out speech that the shown one has")
        elif figures["length_ratio"] < 0.5 and figures["agreement"] < LIVE_AGREEMENT:
            against.append("the new transcript is less than half as long and says something else")
    if live and figures["live_agreement"] >= LIVE_AGREEMENT and figures["agreement"] < MIN_AGREEMENT:
        against.append("the live transcripts agree with each other and not with the new one")
    return against


def _gains(
    figures: Mapping[str, float], new: Sequence[Segment], shown: Sequence[Segment], language: str | None,
    regions: Sequence[Region],
) -> bool:  # fmt: skip
    """Whether the new transcript has speech or speakers that the shown one lacks, or the shown one is no true text
    itself.

    Of two hearings by one engine neither is better by what it is; that the second one has other words is no sign.
    """
    before = tokens(shown)
    if figures["coverage"] >= figures["shown_coverage"] + COVERAGE_GAIN or _tells_apart(new, shown):
        return True
    alone = unsounded(spread(shown), regions)
    return loop_share(before) > MAX_LOOP or wrong_script(before, language) or len(alone) > MAX_OUTSIDE * len(before)


def _tells_apart(new: Sequence[Segment], shown: Sequence[Segment]) -> bool:
    """Whether several people speak by the new transcript where the shown one has one label for everybody: its speakers
    were not told apart (the voice engine was away, say), or one of them was hardly heard."""
    if len({item.speaker for item in shown}) > 1:
        return False
    seconds: dict[str, float] = defaultdict(float)
    for item in new:
        seconds[item.speaker] += item.end - item.start
    return sum(value >= ANOTHER for value in seconds.values()) > 1


def _after(shown: Sequence[Segment], seconds: float | None) -> list[Region]:
    """What is shown of the time after the recording's end; empty where it is no more than times may be out."""
    if seconds is None:
        return []
    rest = [(max(start, seconds), end) for start, end in merged(shown) if end > seconds]
    return rest if sum(end - start for start, end in rest) > END_SLACK else []


def _ends_early(shown: Sequence[Segment], seconds: float, *, cut_off: bool) -> str:
    last = max(item.end for item in shown)
    why = "its file was cut off" if cut_off else "it may have been cut off, or be of another conversation"
    return f"the recording ends after {seconds:.0f} s and what is shown goes on to {last:.0f} s: {why}"


def coverage(segments: Sequence[Segment], regions: Sequence[Region]) -> float:
    """Share of the speech seconds that lie under a segment; 1.0 where nobody speaks."""
    return covered(merged(segments), regions)


def covered(spans: Sequence[Region], regions: Sequence[Region]) -> float:
    """Share of ``regions`` that lies under ``spans``, which do not overlap; 1.0 without regions."""
    speech = sum(end - start for start, end in regions)
    return sum(_overlap(region, spans) for region in regions) / speech if speech > 0 else 1.0


def spread(segments: Sequence[Segment]) -> list[Timed]:
    """The words of segments, each with the whole time of its segment: where in it they lie is not known."""
    return [(word, segment.start, segment.end) for segment in segments for word in tokens([segment])]


def _tokens_of(text: str, start: float, end: float) -> list[Timed]:
    return [(word, start, end) for word in tokens_in(text)]


def unsounded(words: Iterable[Timed], regions: Sequence[Region]) -> list[str]:
    """The words without any speech under them or beside them (``SLACK``): made up from silence. None where no regions
    are known."""
    spans = _joined(regions)
    starts = [start for start, _ in spans]
    found: list[str] = []
    for word, start, end in words if spans else ():
        at = bisect_right(starts, end + SLACK) - 1  # the last one that begins before the word has ended
        if at < 0 or spans[at][1] <= start - SLACK:
            found.append(word)
    return found


def merged(segments: Sequence[Segment]) -> list[Region]:
    """The time under segments as sorted spans that do not overlap."""
    return _joined((segment.start, segment.end) for segment in segments)


def _joined(regions: Iterable[Region]) -> list[Region]:
    spans: list[Region] = []
    for start, end in sorted(regions):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans


def loop_share(words: Sequence[str]) -> float:
    """Share of the words that stand in loops."""
    return looped(words) / len(words) if words else 0.0


def looped(words: Sequence[str], longest: int = 12) -> int:
    """Count how many words stand in phrases of up to ``longest`` words that are repeated at once, at least four times
    over: of all such phrases together, for a model that loops does so with one phrase after the other."""
    within = bytearray(len(words))
    for size in range(1, min(longest, len(words) // 4) + 1):
        run = 0
        for index in range(size, len(words)):
            run = run + 1 if words[index] == words[index - size] else 0
            if run >= 3 * size:
                first = index - size - run + 1 if run == 3 * size else index
                within[first : index + 1] = b"\x01" * (index + 1 - first)
    return sum(within)


def _padded(segments: Sequence[Segment], seconds: float = 1.0) -> list[Region]:
    return [(max(0.0, start - seconds), end + seconds) for start, end in merged(segments)]


def agreement(a: Sequence[str], b: Sequence[str]) -> float:
    """How alike two word lists are, 0..1: twice the common words over all words (order does not count)."""
    if not a or not b:
        return 0.0
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b))


def wrong_script(words: Sequence[str], language: str | None) -> bool:
    """Whether most letters are of a script in which the language is not written."""
    code = (language or "").split("-")[0].lower()
    if code in ("", "multi"):
        return False
    wanted = _SCRIPTS.get(code, "LATIN")
    letters = [letter for word in words for letter in word if letter.isalpha()][:2000]
    if not wanted or len(letters) < 10:
        return False
    right = sum(unicodedata.name(letter, "").startswith(wanted) for letter in letters)
    return right / len(letters) < 0.5


def _other_language(
    words: Sequence[str], before: Sequence[str], alike: float, wanted: str | None, heard: str | None
) -> str:
    """Why the new transcript is not in the language that was spoken; "" where nothing says so.

    What the text shows counts before what the vendor reports, and that before what was asked for. A transcript in the
    language asked for may take the place of one in another: the memory's language may have been corrected since.
    """
    judged = wanted is None or wanted in FUNCTION_WORDS
    written, was = (written_in(words), written_in(before)) if judged else (None, None)
    corrected = written == wanted and heard in (None, wanted)
    if written and was and written != was and not corrected:
        return "the new transcript is in another language than the shown one"
    new = written or heard
    if wanted and new and new != wanted and was in (None, wanted) and alike < MIN_AGREEMENT:
        return "the new transcript is in another language than was spoken"
    return ""


def _other_speech(
    new: Sequence[Segment], shown: Sequence[Segment], others: Sequence[Sequence[Segment]], language: str | None
) -> str:
    """Why the new transcript is not of what the shown one heard at the same time; "" where they are of the same speech,
    where another transcript bears the new one out, or where what is shown is not to be believed itself."""
    before = tokens(shown)
    wanted = base(language)
    was = written_in(before) if wanted in FUNCTION_WORDS else None
    if loop_share(before) > MAX_LOOP or wrong_script(before, language) or (was and was != wanted):
        return ""
    if same_speech(*_at_once(new, shown)) is not False:
        return ""
    if any(same_speech(*_at_once(new, item)) for item in others):
        return ""
    return "the new transcript says something else than the shown one at the same time"


def _at_once(a: Sequence[Segment], b: Sequence[Segment]) -> tuple[list[str], list[str]]:
    """The words of each that stand where the other one has words, too: one may have heard only a part."""
    return _within(a, _joined(_padded(b))), _within(b, _joined(_padded(a)))


def _within(segments: Sequence[Segment], spans: Sequence[Region]) -> list[str]:
    """Words are taken to be spread evenly over their segment."""
    starts = [start for start, _ in spans]
    found: list[str] = []
    for segment in segments:
        words = tokens([segment])
        for index, word in enumerate(words):
            moment = segment.start + (index + 0.5) * (segment.end - segment.start) / len(words)
            span = bisect_right(starts, moment) - 1
            if span >= 0 and moment <= spans[span][1]:
                found.append(word)
    return found


def _among(live: Mapping[str, Sequence[Segment]]) -> float:
    """Best agreement between two live transcripts; 0 where there are not two."""
    lists = [tokens(item) for item in live.values()]
    pairs = [agreement(a, b) for index, a in enumerate(lists) for b in lists[index + 1 :]]
    return max(pairs, default=0.0)


def _overlap(region: Region, spans: Sequence[Region]) -> float:
    return sum(max(0.0, min(region[1], end) - max(region[0], start)) for start, end in spans)
