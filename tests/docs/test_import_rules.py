"""``tests.support.import_rules`` finds what it is there to find, and finds nothing in the project."""

from __future__ import annotations

import pytest

from tests.support import import_rules

HIDDEN = "def work():\n    from memories.pipeline import service\n    return service\n"


def test_an_import_inside_a_function_is_named_with_its_line() -> None:
    assert list(import_rules.inside_functions(HIDDEN, "omi/core/ids.py")) == [
        "omi/core/ids.py:2 work() imports memories.pipeline"
    ]


def test_a_library_may_be_imported_where_it_is_used() -> None:
    assert not list(import_rules.inside_functions("def work():\n    import numpy\n", "omi/core/ids.py"))


def test_an_app_may_import_when_it_is_ready() -> None:
    ready = "class Config:\n    def ready(self):\n        from omi import checks\n"
    assert not list(import_rules.inside_functions(ready, "omi/apps.py"))
    assert list(import_rules.inside_functions(ready, "omi/checks.py"))


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, {"a", "b", "c"}),
    ],
)
def test_a_circle_is_found_by_whatever_path(imports: dict[str, set[str]], expected: set[str]) -> None:
    assert set(import_rules.circle(imports)) == expected


def test_imports_under_type_checking_count() -> None:
    assert "omi.stores.documents.base" in import_rules.project_imports()["omi.stores.documents"]


def test_the_project_keeps_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_rules.main() == 0, capsys.readouterr().out
