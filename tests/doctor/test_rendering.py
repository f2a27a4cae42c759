from __future__ import annotations

import io

from rich.console import Console

from argus_doctor.findings import Finding, finding
from argus_doctor.rendering import print_findings, show_findings
from argusvl.visual.page import findings_html


def shown(findings: list) -> str:
    terminal = Console(file=io.StringIO(), width=60)
    print_findings(findings, terminal)
    return terminal.file.getvalue()


def test_the_terminal_shows_ids_errors_first_and_a_remedy_once_for_what_is_alike() -> None:
    many = [finding("rare-labels", f"a:{k}", "few") for k in range(50)] + [finding("no-records", "b", "none")]
    lines = shown(many).splitlines()
    assert lines[0] == "error N-116 b: no-records: none"
    assert lines[2] == "warning N-165 a:0: rare-labels: few"
    assert sum("What to do" in line for line in lines) == 2
    assert lines[-2] == "  … and 40 more of 50: rare-labels" and "argus doctor explain" in lines[-1]
    assert shown([]) == ""


def test_brackets_in_a_finding_are_no_markup() -> None:
    assert "[red]x[/red]" in shown([finding("no-records", "b", "[red]x[/red]")])


def test_a_hint_says_what_of_health_looks_so_where_that_is_known() -> None:
    slow, fast, lost = (
        shown([finding(slug, "lr", "odd", certain=False)])
        for slug in ("learning-rate-too-low", "learning-rate-too-high", "instability")
    )
    assert "Could also be: fine-tuning that begins at its goal" in slow
    assert "Could also be" not in fast + lost


def test_a_hint_of_a_later_version_is_shown() -> None:
    told = finding("loss-broadcast", "run/", "flat", certain=False).to_json()
    later = Finding.from_json(told | {"id": "Z-999", "kind": "of-a-later-version"})
    assert "hint Z-999 run/: of-a-later-version: flat" in shown([later])


def test_text_shows_errors_before_warnings_and_counts_the_rest() -> None:
    many = [finding("box-duplicate", f"x:{k}", "w") for k in range(30)] + [finding("box-inverted", "y", "e")]
    lines = show_findings(many, most=5).splitlines()
    assert lines[0].startswith("y: box-inverted") and lines[-1] == "… and 26 more"


def test_a_page_escapes_what_users_wrote_and_counts_what_it_leaves_out() -> None:
    found = [finding("rare-labels", f"a:{k}", "<script>") for k in range(1200)]
    page = findings_html(found, pictured={"rare-labels"})
    assert "<script>" not in page and page.count("&lt;script&gt;") == 100
    assert "N-165, 1\u202f200 warnings" in page and "1\u202f100 more" in page
    assert 'data-show="rare-labels"' in page and "data-show" not in findings_html(found)
