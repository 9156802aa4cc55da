"""Recognition of known recordings in the audio that really arrives.

Two ways, tried in this order: sample-exact (anchors found at any cut, then compared byte by byte: cheap enough for
hundreds of streams) and, for audio that went through Opus, mu-law or a resampler, normalised cross-correlation. A word
is heard when at least 70 % of it arrived in one piece; its times are those of the stream, not of the recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.vendors.truth import SEARCH_RATE, Library, Recording, Samples, anchors, resample

COVERAGE = 0.7  # share of a word that must have arrived
CORRELATION = 0.5  # unrelated speech stays below 0.4 over the search window
QUIET = 60.0  # int16 RMS below which a block counts as silence
PROOF_S = 0.01  # exact samples that confirm an anchor
BLOCK_S = 0.1
WINDOW_S = 0.6
KEEP_S = 2.0
GLITCH_S = 0.3


@dataclass(frozen=True)
class Heard:
    """A recognised word with times in seconds of the stream and the recording's speaker label."""

    word: str
    start: float
    end: float
    speaker: str | None


@dataclass
class _Lock:
    recording: Recording
    shift: int  # stream sample index minus recording sample index
    exact: bool
    first: int  # recording sample where this run began
    pos: int  # next recording sample to compare
    word: int = 0  # next word not yet judged


def _rms(x: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(x * x))) if len(x) else 0.0


class Recogniser:
    """Feeds on mono s16le of one stream; gives the words heard, in stream time."""

    def __init__(self, library: Library, rate: int) -> None:
        self.library, self.rate = library, rate
        self.samples = 0  # received so far
        self._buf = bytearray()  # received, not yet attributed
        self._lock: _Lock | None = None
        self._last: _Lock | None = None
        self._searched = 0  # samples of _buf already looked through for anchors
        self._next_search = 0  # stream sample from which a correlation search is worth its price
        self._misses = 0

    @property
    def seconds(self) -> float:
        """Audio received, in seconds."""
        return self.samples / self.rate

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes of s16le (any size); return the words completed by them."""
        before = len(self._buf)
        self._buf += data
        self.samples += (before % 2 + len(data)) // 2
        return self._advance(False)

    def flush(self) -> list[Heard]:
        """No more audio for now: judge what is left."""
        heard = self._advance(True)
        if self._lock:
            heard += self._close()
        self._drop(len(self._buf) // 2)
        return heard

    def _advance(self, last: bool) -> list[Heard]:
        heard: list[Heard] = []
        for _ in range(100_000):
            lock = self._lock
            if lock is None:
                if not self._acquire(last):
                    break
            elif not (self._follow_exact(lock, heard) if lock.exact else self._follow(lock, heard, last)):
                break
        return heard

    def _drop(self, samples: int) -> None:
        del self._buf[: 2 * samples]
        self._searched = max(0, self._searched - samples)

    def _base(self) -> int:
        return self.samples - len(self._buf) // 2

    def _pending(self) -> Samples:
        return np.frombuffer(bytes(self._buf[: len(self._buf) // 2 * 2]), np.int16)

    # -- locked ----------------------------------------------------------------------------------------------------

    def _follow_exact(self, lock: _Lock, heard: list[Heard]) -> bool:
        n = len(self._buf) // 2
        if n == 0:
            return False
        known = lock.recording.bytes_at(self.rate)[2 * lock.pos : 2 * (lock.pos + n)]
        if known == self._buf[: 2 * n]:
            self._step(lock, n, heard)
            return False
        m = len(known) // 2
        differ = np.flatnonzero(np.frombuffer(known, np.int16) != self._pending()[:m])
        self._step(lock, int(differ[0]) if len(differ) else m, heard)
        heard += self._close()
        return True

    def _follow(self, lock: _Lock, heard: list[Heard], last: bool) -> bool:
        n = int(BLOCK_S * self.rate)
        x = self._pending()
        if len(x) < n and last and len(x) >= n // 5:
            n = len(x)
        if len(x) < n:
            return False
        lag = self._match(lock.recording, lock.pos, x[:n])
        if lag is None:
            ahead = [x[k * n : (k + 1) * n] for k in (1, 2) if len(x) >= (k + 1) * n]
            if len(ahead) < 2 and not last:
                return False  # a glitch or the end of this run: the next blocks tell
            if not any(self._match(lock.recording, lock.pos + (k + 1) * n, b) is not None for k, b in enumerate(ahead)):
                self._step(lock, self._match_prefix(lock, x[:n]), heard)
                heard += self._close()
                return True
            lag = 0
        lock.pos += lag
        lock.shift -= lag
        self._step(lock, n, heard)
        if lock.pos >= len(lock.recording.at(self.rate)):
            heard += self._close()
        return True

    def _match_prefix(self, lock: _Lock, block: Samples) -> int:
        """Samples at the start of a failed block that still belong to the run (20 ms steps)."""
        n, good = max(1, int(0.02 * self.rate)), 0
        while (
            good + n <= len(block) and self._match(lock.recording, lock.pos + good, block[good : good + n]) is not None
        ):
            good += n
        return good

    def _match(self, recording: Recording, pos: int, block: Samples) -> int | None:
        """Lag (samples) at which ``block`` fits the recording around ``pos``, or None."""
        known, slack = recording.at(self.rate), max(1, self.rate // 2000)
        lo, hi = max(0, pos - slack), pos + len(block) + slack
        x, y = block.astype(np.float64), known[lo:hi].astype(np.float64)
        if len(y) < len(x):
            if len(y) < len(x) // 2:
                return None
            x = x[: len(y)]
        quiet = max(QUIET, 0.04 * recording.loud)
        if _rms(x) < quiet and _rms(y) < quiet:
            return 0
        corr = np.correlate(y, x, "valid")
        power = np.concatenate(([0.0], np.cumsum(y * y)))
        norm = np.sqrt(np.maximum((power[len(x) :] - power[: len(power) - len(x)]) * float(x @ x), 1.0))
        score = corr / norm
        best = int(np.argmax(score))
        return best - (pos - lo) if score[best] >= CORRELATION else None

    def _step(self, lock: _Lock, samples: int, heard: list[Heard]) -> None:
        lock.pos += samples
        self._drop(samples)
        words = lock.recording.words
        while lock.word < len(words) and words[lock.word].end * self.rate <= lock.pos + 1:
            self._judge(lock, heard)

    def _judge(self, lock: _Lock, heard: list[Heard]) -> bool:
        word = lock.recording.words[lock.word]
        start, end = word.start * self.rate, word.end * self.rate
        covered = min(end, lock.pos) - max(start, lock.first)
        lock.word += 1
        if covered < COVERAGE * (end - start) - 1:
            return False
        offset = lock.shift / self.rate
        heard.append(
            Heard(word.word, max(0.0, word.start + offset), min(word.end + offset, self.seconds), word.speaker)
        )
        return True

    def _close(self) -> list[Heard]:
        heard: list[Heard] = []
        lock, self._lock = self._lock, None
        if lock is not None:
            self._last = lock
            if lock.word < len(lock.recording.words) and not self._judge(lock, heard):
                lock.word -= 1
        self._searched = self._next_search = self._misses = 0
        return heard

    # -- not locked --------------------------------------------------------------------------------------------------

    def _acquire(self, last: bool) -> bool:
        if len(self._buf) < 2 or not self.library.recordings:
            self._drop(len(self._buf) // 2)
            return False
        x = self._pending()
        if self._exact(x) or self._similar(x, last):
            return True
        keep = int(KEEP_S * self.rate)
        if len(x) > 2 * keep:  # a long piece fed at once: go through it window by window
            self._drop(int(WINDOW_S * self.rate))
            self._next_search = 0
            return True
        self._drop(max(0, len(x) - keep))
        return False

    def _exact(self, x: Samples) -> bool:
        proof = max(16, int(PROOF_S * self.rate))
        begin = max(0, self._searched - proof)
        where, hashes = anchors(x[begin:])
        self._searched = len(x)
        for i, value in zip((where + begin).tolist(), hashes.tolist(), strict=True):
            for recording in self.library.recordings:
                places = recording.anchors_at(self.rate).get(value)
                if not places:
                    continue
                known = recording.at(self.rate)
                best = max(((self._run(x, i, known, p), p) for p in places), default=((0, 0), 0))
                (ahead, back), p = best
                if ahead + back >= proof:
                    self._begin(recording, p - back, i - back, True)
                    return True
        return False

    @staticmethod
    def _run(x: Samples, i: int, known: Samples, p: int) -> tuple[int, int]:
        """Equal samples from (i, p) onwards and before."""
        n = min(len(x) - i, len(known) - p, 16000)
        differ = np.flatnonzero(x[i : i + n] != known[p : p + n])
        m = min(i, p, 32000)
        before = np.flatnonzero(x[i - m : i] != known[p - m : p])
        return (int(differ[0]) if len(differ) else n), (m - 1 - int(before[-1]) if len(before) else m)

    def _similar(self, x: Samples, last: bool) -> bool:
        n = int(WINDOW_S * self.rate)
        enough = len(x) >= n or (last and len(x) >= n // 2)
        if not enough or (self._base() + len(x) < self._next_search and not last):
            return False
        many = len(x) > 2 * int(KEEP_S * self.rate)
        begin = 0 if many else max(0, len(x) - n)
        window = x[begin : begin + n]
        if _rms(window.astype(np.float64)) < QUIET:
            return False
        small = resample(window, self.rate, SEARCH_RATE).astype(np.float64)
        found = [(*recording.locate(small), recording) for recording in self.library.recordings]
        score, at, recording = max(found, key=lambda f: f[0])
        self._misses += 1
        self._next_search = self._base() + len(x) + int(min(2.0, 0.2 * self._misses) * self.rate)
        if score < CORRELATION:
            return False
        pos = int(at * self.rate / SEARCH_RATE) - begin  # recording sample of x[0]
        n = int(0.05 * self.rate)
        for k in range(0, len(x) - n + 1, n):  # the first block that fits is where the run began
            block = x[k : k + n]
            fits = pos + k >= 0 and self._match(recording, pos + k, block) is not None
            if fits and _rms(block.astype(np.float64)) >= QUIET:
                self._begin(recording, pos + k, k, False)
                return True
        return False

    def _begin(self, recording: Recording, pos: int, at: int, exact: bool) -> None:
        shift = self._base() + at - pos
        words = recording.words
        first = next((k for k, w in enumerate(words) if w.end * self.rate > pos), len(words))
        lock = _Lock(recording, shift, exact, pos, pos, first)
        old = self._last
        same = old is not None and old.recording is recording and abs(old.shift - shift) <= self.rate // 1000
        if old is not None and same and 0 <= pos - old.pos <= GLITCH_S * self.rate:
            lock.first, lock.word = old.first, old.word
        self._misses = 0
        self._drop(at)
        self._lock = lock


def recognise(library: Library, pcm: bytes | Samples, rate: int) -> list[Heard]:
    """All words of a whole recording."""
    recogniser = Recogniser(library, rate)
    data = pcm if isinstance(pcm, bytes) else pcm.tobytes()
    step = 4 * rate  # 2 s at a time keeps memory flat for long files
    heard = [word for i in range(0, len(data), step) for word in recogniser.feed(data[i : i + step])]
    return heard + recogniser.flush()
