"""The bundled conversation, word for word, and the enrolment sentences (no sentence stands in both).

Written for this project. Anna (the user) and David (a person she has enrolled) run a school; Peter is a stranger.
"""

from __future__ import annotations

USER, PERSON, STRANGER = "Anna", "David", "Peter"
VOICE_OF = {USER: "slt", PERSON: "rms", STRANGER: "awb"}
# The two men of flite are nearer to each other (cosine 0.77 between David's enrolment and all of Peter's turns) than
# two real men are (0.53 on average, 99 % under 0.71): Peter is played ten percent faster and higher (then 0.69).
TAPE_SPEED = {STRANGER: (9, 10)}

# (speaker, pause before the turn in seconds, text)
CONVERSATION: list[tuple[str, float, str]] = [
    (PERSON, 0.8, "Good morning. It is good to see you again. How was your weekend?"),
    (USER, 0.5, "It was very good, David. We went to the mountains with the children and stayed in a little house."),
    (PERSON, 0.6, "That sounds wonderful. The weather was perfect for it."),
    (STRANGER, 0.9, "Hello everyone. My name is Peter and I work for the water company."),
    (STRANGER, 0.5, "I need to look at the pipes in the kitchen of the school before the end of the month."),
    (USER, 0.5, "How much will it cost and how long will it take?"),
    (STRANGER, 0.6, "The work will take two days and it will cost about four thousand dollars."),
    (PERSON, 0.7, "That is more than we expected, but the safety of the children comes first."),
    (USER, 0.4, "I agree. I will send the budget to the city by Friday."),
    (PERSON, 0.6, "Please do not forget to write a letter to the parents."),
    (USER, 0.5, "Yes, I will write a letter to the parents before the end of the day."),
    (STRANGER, 0.8, "Please call the builder and ask about the price of the windows."),
    (PERSON, 0.6, "I will call the builder this afternoon."),
    (PERSON, 0.5, "We should meet again on Thursday to make the final decision."),
    (USER, 0.7, "Thursday is good. I have an appointment with the dentist on Tuesday at three in the afternoon."),
    (USER, 0.6, "And my train to Boston leaves next Monday at nine in the morning."),
    (STRANGER, 0.7, "That is fine. I will send you my report next week."),
    (PERSON, 0.6, "Remember to buy flowers for the birthday of your mother."),
    (USER, 0.5, "I will remember the flowers. Have a safe journey and give my best wishes to your family."),
]

# (recording, speaker, sentences spoken with half a second between them)
ENROLMENTS: list[tuple[str, str, list[str]]] = [
    (
        "enrol_user",
        USER,
        [
            "The first snow of the winter fell during the night and covered every roof in the village.",
            "My brother works in a small garden behind the old church and grows apples and potatoes.",
            "When the summer comes we open all the windows and listen to the birds in the trees.",
            "There was a large brown dog at the gate, but it was asleep in the warm sun.",
        ],
    ),
    (
        "enrol_person",
        PERSON,
        [
            "The ship left the harbor at dawn with forty men and enough bread for a hundred days.",
            "Nobody knows who built the long wall that runs across the hills to the sea.",
            "A young woman opened the door and asked us to come in and sit by the fire.",
        ],
    ),
]
