"""What the files of a run's folder are called: the engine writes them, the report and the table of tasks read them."""

from __future__ import annotations

CONFIG_FILE = "config.yaml"
"""The run's configuration, whole."""
ENVIRONMENT_FILE = "environment.json"
"""Versions and devices, and what the run computes in."""
EVENTS_FILE = "events.jsonl"
"""What happened, line by line."""
LOG_FILE = "train.log"
"""The log."""
SUMMARY_FILE = "summary.json"
"""Figures before and after training, and facts, where somebody has written them down."""
REPORT_FILE = "report.html"
"""The report."""
TRAINER_STATE = "trainer_state.json"
"""Of a checkpoint, or at the end of the run: transformers' state, with the log."""
