"""Hume's Expression Measurement API of October 2026: one synchronous request per 13 minutes of audio.

The API that the seed was written for (batch jobs, language model, speakers) was shut down in June 2026: see
docs/decisions/.
"""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.conf import settings

from emotions.base import EmotionRequest, EmotionScore, EmotionSpan, EmotionTimeline
from emotions.timeline import attribute
from emotions.wave_file import RATE, open_wave, read_samples
from omi.core.bounded_http import bounded_client
from omi.core.errors import MissingDependency, Outcome
from omi.core.partial_results import PartialResults, part_id
from omi.core.vendor_errors import broken_answer, from_status, safe_code, unreachable, unreadable
from omi.core.vendor_fields import Losses, code, fields, items, number
from transcription.audio.wav import wav_bytes

PART_SECONDS = 780.0  # 24.96 MB of samples: 25 MB is the limit of the whole request
CUT_SECONDS = 20.0  # a part ends in the quietest moment of its last seconds, between words where there is a pause
MIN_SECONDS = 0.1
COST_PER_MINUTE = 0.0639
"""US dollars: the list price of the API before this one, from memory. Overrule with OPTIONS cost_per_minute."""
BILLED_SECONDS = 10.0  # at least, for each request (docs/reference/vendors.md)
MAX_PER_SPAN = 20  # 415 expressions exist; the strongest are kept


class HumeEmotions:
    """Measures emotions at Hume. ``probability`` is stored as it comes: the chance that the expression is truly there,
    per window of <= 10 s."""

    name = "hume"
    model_name = "hume_expression_2026"
    remote = True

    def __init__(self, cost_per_minute: float = COST_PER_MINUTE) -> None:
        self._price = cost_per_minute / 60

    def measure(self, request: EmotionRequest) -> EmotionTimeline:
        """Return all windows of the recording, in its time, each with the speaker under it.

        The windows of a part are kept as soon as they are there: a later part that fails does not make it paid again.
        """
        spans: list[EmotionSpan] = []
        with open_wave(request.path, vendor=self.name) as handle, self._client(request.timeout) as hume:
            total = handle.getnframes() / RATE
            start = 0.0
            while total - start > MIN_SECONDS:
                end = _end_of_part(handle, start, total)
                pcm = read_samples(handle, start, end)
                spans += [_moved(span, start) for span in self._once(hume, pcm, request.parts, end - start < total)]
                start = end
        return EmotionTimeline(
            vendor=self.name, model=self.model_name, kind="expression", spans=attribute(spans, request.segments)
        )

    def _once(self, hume: Any, pcm: bytes, parts: PartialResults, one_of_many: bool) -> list[EmotionSpan]:
        """The windows of a part, in its own time, from before where they were kept."""
        part = part_id(self.model_name, hashlib.sha256(pcm).hexdigest()) if one_of_many else ""
        kept = parts.get(part) if part else None
        if kept is not None:
            return [EmotionSpan.model_validate(item) for item in kept]
        spans = self._part(hume, pcm, parts)
        if part:
            parts.keep(part, [span.model_dump(mode="json") for span in spans])
        return spans

    def _part(self, hume: Any, pcm: bytes, parts: PartialResults) -> list[EmotionSpan]:
        from hume_expression_measurement.core.parse_error import ParsingError

        with _mapped_errors(self.name):
            try:
                answer = hume.audio.measure(
                    file=("part.wav", wav_bytes(pcm), "audio/wav"), request_options={"max_retries": 0}
                ).model_dump()
            except ParsingError as error:  # the SDK takes an answer whole or not at all; it was paid for, so it is read
                if (error.status_code or 0) >= 300:
                    raise
                answer = error.body
        seconds = len(pcm) / 2 / RATE
        parts.spent(audio_seconds=seconds, cost=round(max(seconds, BILLED_SECONDS) * self._price, 6))
        return spans_of(answer, seconds=seconds)

    @contextmanager
    def _client(self, timeout: float) -> Iterator[Any]:
        import httpx
        from hume_expression_measurement import (
            ExpressionMeasurementClient,
            ExpressionMeasurementClientEnvironment,
        )

        if not settings.HUME_API_KEY:
            raise MissingDependency(self.name, "the key HUME_API_KEY", "Set HUME_API_KEY (or HUME_API_KEY_FILE).")
        base = settings.HUME_URL.rstrip("/")
        http = bounded_client(httpx, timeout=timeout)
        try:
            yield ExpressionMeasurementClient(
                api_key=settings.HUME_API_KEY,
                environment=ExpressionMeasurementClientEnvironment(base=base, production=base.replace("http", "ws", 1)),
                httpx_client=http,
                max_retries=0,
                headers={"Accept-Encoding": "identity"},
            )
        finally:
            http.close()


@contextmanager
def _mapped_errors(vendor: str) -> Iterator[None]:
    import httpx
    from hume_expression_measurement.core.api_error import ApiError
    from hume_expression_measurement.core.parse_error import ParsingError

    try:
        yield
    except httpx.TimeoutException as error:
        raise unreachable(vendor, timed_out=True, cause=error) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(vendor, timed_out=False, cause=error) from error
    except ParsingError as error:
        raise broken_answer(vendor, "answered in an unknown form") from error
    except ApiError as error:
        status = error.status_code or 0
        if status < 300:
            raise broken_answer(vendor, "answered in an unknown form") from error
        body = error.body
        named = safe_code(body.get("code") if isinstance(body, dict) else getattr(body, "code", ""))
        # Access to this API is given by request: 403 means that the account has none yet.
        outcome = Outcome.CONFIG_ERROR if status == 404 else None
        raise from_status(vendor, status, headers=error.headers or {}, code=named, outcome=outcome) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise broken_answer(vendor, "answered in an unknown form") from error


def spans_of(answer: object, *, seconds: float) -> list[EmotionSpan]:
    """The measurements of an answer about audio of ``seconds``, one by one: one that cannot be read costs itself.

    Raises ProviderError (permanent) where there is no list of them, or none of it can be read.
    """
    losses = Losses("hume")
    listed = fields(answer).get("measurements")
    if not isinstance(listed, list):
        raise unreadable("hume", "the answer has no list of measurements")
    read = [_read(item, losses) for item in items(listed, losses)]
    if listed and not any(read):
        raise unreadable("hume", "no measurement of the answer can be read")
    losses.report()
    return [span for item in read if item is not None and (span := _span(*item, length=seconds)) is not None]


def _read(item: dict[str, Any], losses: Losses) -> tuple[float, float, list[tuple[str, float]]] | None:
    start, end = number(item.get("audio_start_ms")), number(item.get("audio_end_ms"))
    if start is None or end is None or not isinstance(item.get("expressions"), list):
        losses.part()
        return None
    scores = []
    for score in items(item["expressions"], losses):
        name, probability = code(score.get("name")), number(score.get("probability"))
        if name is None or probability is None:
            losses.part()
        else:
            scores.append((name, probability))
    return start, end, scores


def _span(start_ms: float, end_ms: float, scores: Iterable[tuple[str, float]], *, length: float) -> EmotionSpan | None:
    kept = [
        EmotionScore(name=name.strip().lower()[:60], score=min(1.0, max(0.0, probability)))
        for name, probability in scores
    ]
    start, end = sorted((min(max(0.0, start_ms / 1000), length), min(max(0.0, end_ms / 1000), length)))
    if not kept or end <= start:
        return None
    kept.sort(key=lambda score: (-score.score, score.name))
    return EmotionSpan(start=round(start, 3), end=round(end, 3), emotions=kept[:MAX_PER_SPAN])


def _moved(span: EmotionSpan, offset: float) -> EmotionSpan:
    return span.model_copy(update={"start": round(offset + span.start, 3), "end": round(offset + span.end, 3)})


def _end_of_part(handle: wave.Wave_read, start: float, total: float) -> float:
    if total - start <= PART_SECONDS:
        return total
    begin = start + PART_SECONDS - CUT_SECONDS
    samples = np.frombuffer(read_samples(handle, begin, start + PART_SECONDS), "<i2").astype(np.float32)
    window = RATE // 4
    power = np.convolve(samples**2, np.ones(window, np.float32), "valid")[::160]
    return begin + (int(np.argmin(power)) * 160 + window // 2) / RATE
