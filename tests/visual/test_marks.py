from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from argusvl.visual.marks import Mark, place_marks, room_for
from argusvl.visual.plots import Series, line_chart


def placed(*marks: Mark) -> list[tuple[str, int | None]]:
    return [(p.mark.label, p.lane) for p in place_marks(marks, lambda step: step / 100)]


def test_names_that_would_cover_each_other_have_rows_of_their_own_and_errors_come_first() -> None:
    marks = [Mark(50, "N-001", "warning"), Mark(51, "N-002", "error"), Mark(90, "N-003", "warning")]
    assert placed(*marks) == [("N-002", 0), ("N-001", 1), ("N-003", 0)]
    assert place_marks([Mark(99, "N-001", "error")], lambda step: step / 100)[0].to_the_left


def test_what_repeats_itself_is_named_once_and_a_crowd_has_lines_alone() -> None:
    assert placed(*[Mark(s, "skipped", "event") for s in (10, 50)]) == [("skipped", 0), ("skipped", None)]
    crowd = place_marks([Mark(50, f"N-{i:03}", "error") for i in range(20)], lambda step: step / 100)
    assert [p.lane for p in crowd[:6]] == [0, 1, 2, 3, 4, 5] and {p.lane for p in crowd[6:]} == {None}
    assert room_for(crowd) == 6 * 15 and room_for([]) == 0


def test_a_chart_reaches_its_marks_and_writes_no_markup_of_theirs() -> None:
    marks = [Mark(20, "N-001", "error", 'said "<script>"'), Mark(5, "skipped", "event")]
    svg = line_chart([Series("loss", [1, 10], [2.0, 1.0])], marks=marks)
    ET.fromstring(svg)
    assert "<script>" not in svg and "&lt;script&gt;" in svg
    assert re.findall(r'class="mark (of-\w+)"><line x1="([\d.]+)%"', svg) == [
        ("of-event", "21.05"),
        ("of-error", "100.00"),
    ]
    assert 'height="235"' in svg  # 220 and a row of names
