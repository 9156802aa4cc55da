"""The steps. Each module has

* ``inputs(ctx)``: JSON of everything its result depends on (hashed; an equal hash lets a later run reuse the result),
* ``run(ctx)``: ``Done``, ``Wait`` or ``Skip``; raises ProviderError or StepError; may be run again at any time,
* optionally ``VERSION`` (part of the hash), ``LIMIT`` (seconds per execution), ``REUSE = False`` (always done anew) or
  ``"always"`` (reused by any run), ``still_there(ctx, earlier)`` (whether what an earlier result points to exists),
  ``without(ctx, error)`` (what to go on with when the vendor failed for good: ``Done``, ``Skip``, or None for nothing),
  ``stored(ctx)`` (called once the result is safe; must not raise).
"""
