"""The templates that everybody has. Their headings are in the user's language where it is one of four, else English."""

from __future__ import annotations

from typing import Final

from memories.templates.shapes import Template, TemplateSection

_Row = tuple[str, str, str, str, str, str]
"""The rule by which it is filled without a model, what belongs there, and the heading in four languages."""

_MEETING: Final[list[_Row]] = [
    ("gist", "what was talked about", "Topics", "Themen", "Sujets", "Temas"),
    ("decisions", "what was decided and agreed", "Decisions", "Beschlüsse", "Décisions", "Decisiones"),
    ("tasks", "who does what until when", "Next steps", "Nächste Schritte", "Prochaines étapes", "Próximos pasos"),
    ("questions", "what was asked and left open", "Open questions", "Offene Fragen", "Questions ouvertes",
     "Preguntas abiertas"),
]  # fmt: skip
_LECTURE: Final[list[_Row]] = [
    ("gist", "the main points that were taught", "Key points", "Kernpunkte", "Points clés", "Puntos clave"),
    ("alike", "definitions and terms, what something is called and means", "Terms", "Begriffe", "Notions",
     "Conceptos"),
    ("alike", "examples, cases and stories, for example", "Examples", "Beispiele", "Exemples", "Ejemplos"),
    ("questions", "what was asked", "Questions", "Fragen", "Questions", "Preguntas"),
    ("tasks", "homework, reading, what to prepare for the exam", "To do", "Aufgaben", "À faire", "Tareas"),
]  # fmt: skip
_DOCTOR: Final[list[_Row]] = [
    ("alike", "complaints and symptoms: what hurts, where and since when, pain, fever, cough, feeling sick",
     "Complaints", "Beschwerden", "Plaintes", "Molestias"),
    ("alike", "findings and diagnosis: examination, blood test, result, blood pressure, infection", "Findings",
     "Befunde", "Constats", "Hallazgos"),
    ("alike", "medicine and treatment: tablets, dose, milligrams, how often a day, therapy", "Treatment",
     "Behandlung", "Traitement", "Tratamiento"),
    ("tasks", "what to do until the next visit", "Next steps", "Nächste Schritte", "Prochaines étapes",
     "Próximos pasos"),
    ("dates", "the next appointments", "Appointments", "Termine", "Rendez-vous", "Citas"),
]  # fmt: skip
_BRAINSTORM: Final[list[_Row]] = [
    ("alike", "ideas: we could, what if, how about, maybe we try", "Ideas", "Ideen", "Idées", "Ideas"),
    ("alike", "doubts, risks and problems: too expensive, difficult, does not work, worried", "Doubts", "Bedenken",
     "Réserves", "Dudas"),
    ("decisions", "what was chosen", "Chosen", "Gewählt", "Choisi", "Elegido"),
    ("questions", "what has to be found out", "Questions", "Fragen", "Questions", "Preguntas"),
    ("tasks", "who tries what", "Next steps", "Nächste Schritte", "Prochaines étapes", "Próximos pasos"),
]  # fmt: skip
_DIARY: Final[list[_Row]] = [
    ("gist", "what happened", "What happened", "Was geschah", "Ce qui s'est passé", "Qué pasó"),
    ("alike", "feelings: happy, sad, proud, tired, angry, worried, glad", "How it felt", "Wie es war", "Ressenti",
     "Cómo me sentí"),
    ("alike", "thankful for, beautiful, nice moment, enjoyed, fun", "Good things", "Schönes", "Belles choses",
     "Cosas buenas"),
    ("tasks", "what to do", "Plans", "Vorhaben", "Projets", "Planes"),
]  # fmt: skip
_LANGUAGES: Final = ("en", "de", "fr", "es")
_NAMES: Final[dict[str, tuple[str, str, str, str]]] = {
    "meeting": ("Meeting", "Besprechung", "Réunion", "Reunión"),
    "lecture": ("Lecture", "Vorlesung", "Cours", "Clase"),
    "doctor": ("Doctor's visit", "Arztbesuch", "Visite médicale", "Visita médica"),
    "brainstorm": ("Brainstorm", "Ideensammlung", "Remue-méninges", "Lluvia de ideas"),
    "diary": ("Diary", "Tagebuch", "Journal", "Diario"),
}
_ROWS: Final = {
    "meeting": _MEETING, "lecture": _LECTURE, "doctor": _DOCTOR, "brainstorm": _BRAINSTORM, "diary": _DIARY,
}  # fmt: skip
IDS: Final = tuple(_ROWS)


def template(template_id: str, language: str | None) -> Template | None:
    """The built-in template of this id; None where there is none."""
    rows = _ROWS.get(template_id)
    if rows is None:
        return None
    code = (language or "en").split("-")[0].lower()
    at = _LANGUAGES.index(code) if code in _LANGUAGES else 0
    sections = [TemplateSection(heading=row[2 + at], instruction=row[1], rule=row[0]) for row in rows]
    return Template(id=template_id, name=_NAMES[template_id][at], sections=sections, built_in=True)
