"""Counts by range: every value is in one, and there are few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from argusvl.detection.data.measuring.histogram import whole_ranges


@given(st.lists(st.integers(0, 5000), max_size=50))
def test_every_value_is_in_one_of_at_most_ten_ranges(values: list[int]) -> None:
    ranges = whole_ranges(values)
    assert len(ranges) <= 10
    assert sum(one.count for one in ranges) == len(values)
    for one in ranges:
        assert one.high is not None and one.count == sum(one.low <= value <= one.high for value in values)
