"""``python -m bench.live_voices [--talks N] [--half choosing]``: whose label live words have where the vendor tells no
speakers apart (the local engine).

Conversations of two to four real voices, turns of 0.7 to 5 s, pauses of 0.15 to 1.5 s, are heard by the local engine a
quarter of a second at a time, as they come in life, and what it says is given to the session's ``OnlineClustering``.
Beside it, over the same words: each batch judged by its own audio alone, as long as it happens to be. Each label stands
for one speaker, so that a person with two labels counts as wrong, too; words that two people speak over are left out.

The lengths of ``OnlineClustering`` and the engine's cosine were chosen on the choosing side's voices, of whom nobody
speaks in those of the reporting side.
"""

from __future__ import annotations

import argparse
import tempfile

from bench.speakers import start_django
from bench.speakers_data import sides, speakers, speech_folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--talks", type=int, default=12)
    parser.add_argument("--half", choices=("reporting", "choosing"), default="reporting")
    parser.add_argument("--cosine", type=float, help="from which words and a voice are one; default: the engine's")
    given = parser.parse_args()
    folder = speech_folder()
    if folder is None:
        print("SKIPPED: recordings of many people are needed (OMI_BENCH_SPEECH)")
        return
    with tempfile.TemporaryDirectory() as name:
        start_django(name)
        from bench.live_voices_talks import measure

        people = sides([person for person in speakers(folder) if person.corpus not in ("AMI", "Asterisk sounds")])
        measure(people, given.half, given.talks, given.cosine)


if __name__ == "__main__":
    main()
