"""Speech engines that run on this machine: 16 kHz mono int16 audio in, words with times out.

Nothing here imports Django: live and batch recognition run in child processes (`worker.py`), so that a decoder that
crashes or eats memory takes no web process or task worker with it.
"""
