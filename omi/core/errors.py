"""The errors and outcomes that every room shares.

An adapter turns whatever its vendor does into one ``ProviderError``; the pipeline alone decides what to do with it.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """What a caller may do about a failure: the vendor tables are in the adapters."""

    TRANSIENT = "transient"  # the same call may work later: retry with back-off, honour retry_after
    QUOTA = "quota"  # money or a hard limit: stop calling, alarm, use another vendor
    PERMANENT = "permanent"  # the same call will fail again: change the input or the configuration


class Outcome(StrEnum):
    """How a step, a vendor call or a run ended. One vocabulary for rows, metrics, logs and API."""

    SUCCESS = "success"
    EXPECTED_SILENCE = "expected_silence"
    EMPTY_UNEXPECTED = "empty_unexpected"
    TIMEOUT = "timeout"
    UPSTREAM_ERROR = "upstream_error"
    QUOTA = "quota"
    CONFIG_ERROR = "config_error"
    INVALID_INPUT = "invalid_input"
    CANCELED = "canceled"


class ProviderError(Exception):
    """A vendor (or local engine) could not do what was asked.

    ``message`` is one safe sentence: no key, no transcript, no address. ``code`` is the vendor's own code for logs.
    ``retry_after`` is in seconds, as the vendor asked. ``outcome`` defaults by kind. ``possibly_billed``: the vendor
    may have done, and may bill, what was asked, though nothing usable came of it.
    """

    def __init__(
        self,
        vendor: str,
        message: str,
        *,
        kind: ErrorKind,
        code: str = "",
        retry_after: float | None = None,
        outcome: Outcome | None = None,
        possibly_billed: bool = False,
    ) -> None:
        super().__init__(f"{vendor}: {message}")
        self.possibly_billed = possibly_billed
        self.vendor = vendor
        self.message = message
        self.kind = kind
        self.code = code
        self.retry_after = retry_after
        self.outcome = outcome or (Outcome.QUOTA if kind is ErrorKind.QUOTA else Outcome.UPSTREAM_ERROR)

    @property
    def retryable(self) -> bool:
        return self.kind is ErrorKind.TRANSIENT


class StoreError(ProviderError):
    """A ``ProviderError`` of a store of our own: documents, vectors, audio objects, the database.

    Nobody is paid for asking it again, and nothing can be done without it: the pipeline waits for it for hours
    (``retries.store_delay``) where it gives a vendor up after a few tries.
    """


class OwnFault(ProviderError):
    """This machine could not do what it does itself: no disk, no memory, no time, a package that does not load.

    Transient: nothing is wrong with what it was given, and no vendor had a part in it.
    """

    def __init__(self, message: str, *, code: str, outcome: Outcome | None = None) -> None:
        super().__init__("local", message, kind=ErrorKind.TRANSIENT, code=code, outcome=outcome)


class UnsupportedFeature(ProviderError):
    """The vendor was asked for something that its declared capabilities do not hold."""

    def __init__(self, vendor: str, feature: str) -> None:
        super().__init__(
            vendor,
            f"{vendor} does not support {feature}",
            kind=ErrorKind.PERMANENT,
            code="unsupported",
            outcome=Outcome.CONFIG_ERROR,
        )
        self.feature = feature


class MissingDependency(ProviderError):
    """A package, model folder or key that the configured backend needs is not there. ``fix`` says how to get it."""

    def __init__(self, vendor: str, what: str, fix: str) -> None:
        super().__init__(
            vendor,
            f"{what} is missing. {fix}",
            kind=ErrorKind.PERMANENT,
            code="missing",
            outcome=Outcome.CONFIG_ERROR,
        )
        self.what = what
        self.fix = fix
