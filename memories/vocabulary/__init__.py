"""The user's words: names and terms that recognition shall know (``users/{uid}``, field ``vocabulary``)."""
