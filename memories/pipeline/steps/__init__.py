"""The steps. Each module has

* ``inputs(ctx)``: JSON of everything its result depends on (hashed; an equal hash lets a later run reuse the result),
* ``run(ctx)``: ``Done``, ``Wait`` or ``Skip``; raises ProviderError or StepError; may be run again at any time,
* optionally ``VERSION`` (part of the hash), ``REUSE = False`` (always done anew), ``LIMIT`` (seconds per execution).
"""
