"""Tables: what stands in them, and that any name keeps its cell."""

from __future__ import annotations

import csv
import io
import json

import pytest
from markdown_it import MarkdownIt

from argusvl.core.wording import printable
from argusvl.recognition.few_shot.evaluation import Row, Spread
from argusvl.recognition.few_shot.tables import FORMATS, comma_separated, latex, markdown, to_json

ODD = "a|b & 50%_\n{梨}~^\\$#"


def rows(*, open_set: bool = True, std: float | None = 0.0123, category: str = "fruit") -> list[Row]:
    figures = {"accuracy": Spread(0.53412, std)}
    if open_set:
        figures |= {"auroc": Spread(0.7614, std), "fpr95": Spread(0.5, std), "oscr": Spread(0.4449, std)}
    found = []
    for backbone in ("one", "two:folder"):
        for name in (category, None):
            found += [
                Row(backbone, name, shots, 30.0, figures, {"apple": 0.5} if name else {}) for shots in (1, 5)
            ]
    return found


def test_markdown_has_a_table_for_each_measure_and_the_totals() -> None:
    text = markdown(rows())
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Accuracy (%) by category",
        "### AUROC by category",
        "### FPR95 by category",
        "### OSCR by category",
        "### Total",
    ]
    assert "| Category | Backbone | 1 shot | 5 shots |\n| --- | --- | ---: | ---: |\n" in text
    assert "| fruit | two:folder | 53.4 ± 1.2 | 53.4 ± 1.2 |" in text
    assert "| all |" not in text  # of one category, the total is the same
    assert "| all | one | 0.761 ± 0.012 | 0.761 ± 0.012 |" in markdown([*rows(), *rows(category="vegetable")])
    assert "| one | 5 | 53.4 ± 1.2 | 0.761 ± 0.012 | 0.500 ± 0.012 | 0.445 ± 0.012 |" in text
    assert "AUROC" not in markdown(rows(open_set=False))


def test_one_seed_has_no_spread() -> None:
    assert "| fruit | one | 53.4 | 53.4 |" in markdown(rows(std=None))
    assert "one,fruit,1,30,0.534120,\n" in comma_separated(rows(open_set=False, std=None))


def test_csv_reads_back() -> None:
    found = list(csv.DictReader(io.StringIO(comma_separated(rows(category=ODD)))))
    assert len(found) == 8
    assert found[0]["category"] == ODD and found[2]["category"] == ""
    assert float(found[0]["accuracy"]) == pytest.approx(0.53412)
    assert float(found[0]["std"]) == pytest.approx(0.0123)
    assert float(found[0]["oscr_std"]) == pytest.approx(0.0123)


def test_odd_names_keep_their_cell() -> None:
    text = markdown(rows(category=ODD))
    heads = {
        line.replace("\\|", "").count("|")
        for line in text.splitlines()
        if line.startswith("|") and "shot" in line
    }
    cells = {line.replace("\\|", "").count("|") for line in text.splitlines() if "梨" in line}
    assert cells == heads == {5}
    for line in latex(rows(category=ODD)).splitlines():
        if "梨" in line:
            assert r"a|b \& 50\%\_\textbackslash{}n\{梨\}\textasciitilde{}\textasciicircum{}" in line
            assert line.replace(r"\&", "").count("&") == 3
            assert line.endswith(r"\\")


@pytest.mark.parametrize(
    "name", [ODD, "<b>", "*x*", "`|`", "a\\|b", "_x_ y_z", "[a](b)", "~~a~~", "&lt;", "🦊 naïve"]
)
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown(rows(category=name)))
    assert [t.tag for t in tokens if t.type == "table_open"] == ["table"] * 5
    cells = [list(t.children or ()) for t in tokens if t.type == "inline"]
    assert {t.type for children in cells for t in children} <= {"text", "text_special"}
    texts = ["".join(t.content for t in children) for children in cells]
    assert texts.count(printable(name)) == 8  # of two backbones in the tables of four measures


def test_latex_is_balanced_and_needs_no_package() -> None:
    text = latex(rows())
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 5
    assert r"53.4 $\pm$ 1.2" in text
    assert r"\begin{tabular}{llrr}" in text
    assert "±" not in text


def test_json_has_the_rows_of_the_categories_and_the_totals_apart() -> None:
    found = to_json(rows())
    assert json.loads(json.dumps(found)) == found
    assert found["rows"][0] == {
        "backbone": "one",
        "category": "fruit",
        "shots": 1,
        "queries": 30.0,
        "accuracy": 0.53412,
        "std": 0.0123,
        "auroc": 0.7614,
        "auroc_std": 0.0123,
        "fpr95": 0.5,
        "fpr95_std": 0.0123,
        "oscr": 0.4449,
        "oscr_std": 0.0123,
        "per_class": {"apple": 0.5},
    }
    assert len(found["total"]) == 4 and "category" not in found["total"][0]


@pytest.mark.parametrize("name", FORMATS)
def test_a_category_called_all_or_total_stays_itself(name: str) -> None:
    assert FORMATS[name](rows(category="all")) != FORMATS[name](rows(category="total"))
