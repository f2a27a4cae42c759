from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from argus_doctor import CATALOGUES
from argus_doctor.findings import Finding, by_kind, catalogue, count_errors, entry_of, finding, finding_of
from argus_doctor.logs.signs import SLUGS
from argusvl.core.errors import ArgusError, DataError

MAKERS = {"finding", "Suspicion", "named_finding", "verdict", "Verdict"}
"""What makes a finding of a slug, its first argument."""

FIRST_ENTRIES = (
    *("G-001", "G-002", "M-001", "M-002", "M-003", "P-001", "P-002", "P-003", "P-004", "L-001"),
    *(f"C-00{k}" for k in range(1, 7)),
    *(f"{letter}-00{k}" for letter in "DT" for k in range(1, 6)),
    *(f"E-00{k}" for k in range(1, 4)),
)


def sources(repository: Path) -> Iterator[ast.Module]:
    """All of both packages."""
    for folder in ("src/argusvl", "packages/argus-doctor/src"):
        for path in sorted((repository / folder).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def emitted(module: ast.Module) -> Iterator[str]:
    """Slugs that a module makes findings of: in calls, in errors, and as the first of a returned or yielded tuple."""
    for node in ast.walk(module):
        named: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named += node.args[:1] if name in MAKERS else []
            named += [keyword.value for keyword in node.keywords if keyword.arg == "slug"]
        elif isinstance(node, ast.Return | ast.Yield) and isinstance(node.value, ast.Tuple):
            named += node.value.elts[:1]
        for one in named:
            if isinstance(one, ast.Constant) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", str(one.value)):
                yield one.value


def test_a_finding_comes_back_from_its_json() -> None:
    one = finding(
        "loss-broadcast", "run/", "flat at 2.3", numbers={"step": 7}, probability=0.5, certain=False
    )
    assert Finding.from_json(json.loads(json.dumps(one.to_json()))) == one
    later = one.to_json() | {"id": "Z-999", "kind": "of-a-later-version"}
    assert str(Finding.from_json(later)).startswith("run/: of-a-later-version: flat at 2.3")
    assert Finding.from_json(later).id == "Z-999"
    for no_share in (10**400, -1, True, "0.5", None):
        assert Finding.from_json(later | {"probability": no_share}).probability is None


@pytest.mark.parametrize("change", [{"what": 3}, {"severity": "odd"}, {"where": None}])
def test_what_is_no_finding_is_refused(change: dict[str, object]) -> None:
    told = finding("loss-broadcast", "run/", "flat").to_json()
    for value in (told | change, [told], "loss-broadcast"):
        with pytest.raises(ValueError, match="it needs kind, severity, where, what, remedy"):
            Finding.from_json(value)


def test_every_finding_that_a_verb_can_make_has_an_entry(repository: Path) -> None:
    slugs = {slug for module in sources(repository) for slug in emitted(module)}
    assert len(slugs) > 60 and slugs <= catalogue().keys()


def test_every_entry_that_a_verb_is_said_to_find_is_found_by_one(repository: Path) -> None:
    said = {slug for slug, entry in catalogue().items() if entry.id.startswith("N-")}
    logged = {slug for slug in said if catalogue()[slug].detector.startswith("logged by")}
    texts = {
        node.value.partition(":")[0]
        for module in sources(repository)
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert said - logged <= texts | set(SLUGS.values()) | {"cannot-start"}


def test_ids_are_unique_and_well_formed() -> None:
    entries = catalogue().values()
    ids = [entry.id for entry in entries]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[A-Z]-\d{3}", one) for one in ids)
    assert set(FIRST_ENTRIES) <= set(ids)
    for slug, entry in catalogue().items():
        assert slug == entry.slug and entry.severity in ("error", "warning")
        assert all((entry.title, entry.symptom, entry.causes, entry.detector, entry.remedies)), slug


def test_an_entry_is_found_by_its_id_or_its_name_in_any_case() -> None:
    for entry in catalogue().values():
        assert entry_of(entry.id) is entry_of(entry.id.lower()) is entry_of(entry.slug.upper()) is entry
    with pytest.raises(ArgusError, match="did you mean 'box-inverted'"):
        entry_of("box-invert")


def test_ids_that_entries_name_exist() -> None:
    known = {entry.id for entry in catalogue().values()}
    for entry in catalogue().values():
        assert set(re.findall(r"\b[A-Z]-\d{3}\b", str(entry.to_json()))) <= known, entry.id


def test_a_finding_knows_its_entry_and_is_json() -> None:
    found = finding("box-inverted", "a.jsonl:1", "odd", numbers={"box": [3, 2, 1, 0], "label": None})
    assert (found.id, found.severity) == ("N-142", "error")
    assert json.loads(json.dumps(found.to_json())) == {
        "id": "N-142",
        "kind": "box-inverted",
        "severity": "error",
        "where": "a.jsonl:1",
        "what": "odd",
        "remedy": catalogue()["box-inverted"].remedies[0],
        "box": [3, 2, 1, 0],
    }
    assert str(found).startswith("a.jsonl:1: box-inverted: odd\n  What to do: ")


def test_an_error_is_the_finding_that_it_names() -> None:
    named = finding_of(DataError("odd", where="a:1", remedy="mend it", slug="no-records"))
    assert (named.slug, named.where, named.what, named.remedy) == ("no-records", "a:1", "odd", "mend it")
    unnamed = finding_of(DataError("odd"))
    assert unnamed.slug == "cannot-start" and str(unnamed).startswith("cannot-start: odd\n")


def test_findings_of_a_kind_stand_together_errors_first_then_the_most_frequent() -> None:
    slugs = ["rare-labels", "box-inverted", "no-records", "rare-labels", "no-records"]
    found: list[Finding] = [finding(slug, "a", "odd") for slug in slugs]
    assert [(alike[0].slug, len(alike)) for alike in by_kind(found, frequent_first=True)] == [
        ("no-records", 2),
        ("box-inverted", 1),
        ("rare-labels", 2),
    ]
    assert [alike[0].slug for alike in by_kind(found)] == ["box-inverted", "no-records", "rare-labels"]
    assert count_errors(found) == 3


def test_where_the_doctor_is_alone_its_own_program_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    for catalogues, advised in (
        (["argus_doctor"], "`argus-doctor list`"),
        (CATALOGUES, "`argus doctor list`"),
    ):
        monkeypatch.setattr("argus_doctor.findings.CATALOGUES", catalogues)
        with pytest.raises(ArgusError, match=advised):
            entry_of("N-999")
