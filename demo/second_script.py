"""The second bundled conversation: three friends plan a move. Fast, with fillers, self-corrections and voices that
overlap; not written for the ease of any engine. Written for this project.

Mia wears the recorder; Ben and Kate are nobody that the system knows.
"""

from __future__ import annotations

USER, BEN, KATE = "Mia", "Ben", "Kate"
VOICE_OF = {USER: "jf_alpha", BEN: "jm_kumo", KATE: "jf_tebukuro"}
SPEED_OF = {USER: 1.15, BEN: 1.2, KATE: 1.1}

# (speaker, seconds after the end of the turn before: below zero the two overlap, text)
CONVERSATION: list[tuple[str, float, str]] = [
    (USER, 0.6, "Okay, so, um, the move. Ben, did you, did you call the moving company?"),
    (BEN, 0.1, "Yeah, I did. They, uh, they want eight hundred and fifty dollars for the truck and two people."),
    (KATE, -0.35, "Wow. That's, that's a lot."),
    (BEN, 0.1, "Well, it's the end of the month, everybody is moving."),
    (
        USER,
        0.2,
        "All right. I'll, um, I'll pay the deposit by Wednesday, no wait, by Tuesday, because the offer ends on"
        " Tuesday.",
    ),
    (KATE, 0.15, "And who is, like, who is packing the kitchen?"),
    (BEN, -0.2, "I can do that. I'll pack the kitchen on Thursday evening."),
    (USER, 0.1, "Great. Kate, can you pick up the keys from the landlord?"),
    (KATE, 0.1, "Sure, yeah, I'll pick them up tomorrow after work."),
    (BEN, -0.25, "Oh, and, um, the movers come on Saturday at eight, sorry, at half past eight in the morning."),
    (USER, 0.2, "Half past eight, okay. And we have lunch with my parents on Sunday at one."),
    (KATE, 0.2, "You know, we could, we could use my brother's van instead, if he is around."),
    (BEN, -0.3, "Maybe. But, uh, the van is really small, and the sofa won't fit."),
    (USER, 0.15, "Yeah, no, we agreed on the truck. I'll send everybody the new address tonight."),
    (KATE, -0.2, "Perfect, thanks."),
]

ENROLMENT = [
    "The harbour was quiet that morning, and a thin fog lay over the boats.",
    "Nobody had told the children that the old bridge was closed for repairs.",
    "We carried the chairs into the garden and waited for the first guests.",
]
"""Sentences that Mia is enrolled with, half a second between them; none stands in the conversation."""
