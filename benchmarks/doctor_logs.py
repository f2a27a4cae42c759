"""`argus doctor log` on logs that its rules were not written from, beside `grep` for the obvious words.

The held-out logs (`doctor_logs/held_out.txt`) were composed after the rules had been committed, from messages that
frameworks, drivers and clusters are documented to give; `development.txt` of the package's tests is what the rules were
written with. In the dated result, `first` is what the rules reached on `held out` before anything was mended by it;
then they were mended, and `second` has what they reached on `held out, second`, composed after that; `after` is with
all of them known, and so says nothing of logs never seen. Reports accuracy, macro-F1 over all causes with `none`, and
how many runs that did not die were said to.

    python benchmarks/doctor_logs.py                  # prints
    python benchmarks/doctor_logs.py --as first       # and writes it as such into the dated result
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from argus_doctor.logs.diagnosis import diagnose
from argus_doctor.logs.signs import CAUSES
from argusvl import __version__

sys.path.insert(0, str(Path(__file__).parent / "doctor_logs"))

from corpus import Case, cases

HERE = Path(__file__).parent
BUNDLES = {
    "development": HERE.parent / "packages" / "argus-doctor" / "tests" / "logs" / "development.txt",
    "held out": HERE / "doctor_logs" / "held_out.txt",
    "held out, second": HERE / "doctor_logs" / "held_out_2.txt",
}

GREP = {
    "cuda_oom": r"CUDA out of memory|OutOfMemoryError",
    "nccl": r"NCCL",
    "cuda_runtime": r"CUDA error|cuDNN error",
    "device_mismatch": r"same device",
    "nan_loss": r"\bnan\b|NaN",
    "segfault": r"Segmentation fault|SIGSEGV",
    "oom_killer": r"Killed|oom-kill|OOMKilled",
    "host_oom": r"MemoryError|Cannot allocate memory",
    "missing_module": r"ModuleNotFoundError|ImportError",
    "file_not_found": r"FileNotFoundError|No such file",
    "permission": r"PermissionError|Permission denied",
    "assertion": r"AssertionError",
    "div_zero": r"ZeroDivisionError",
    "timeout": r"TIME LIMIT|time limit",
    "interrupted": r"KeyboardInterrupt|SIGTERM|SIGINT|CANCELLED",
    "runtime_error": r"RuntimeError",
    "traceback": r"Traceback",
}
"""What one would search a log for, the special before the general."""


def by_grep(text: str) -> str:
    """The first of the obvious patterns that the log has."""
    return next((cause for cause, pattern in GREP.items() if re.search(pattern, text)), "none")


def by_doctor(text: str) -> str:
    """What `argus doctor log` says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        path.write_text(text, encoding="utf-8", newline="")
        return diagnose(str(path)).cause


def scores(logs: Sequence[Case], judge: Callable[[str], str]) -> dict[str, Any]:
    """Accuracy, macro-F1, and what was said instead of what was true."""
    said = [judge(case.text) for case in logs]
    truth = [case.cause for case in logs]
    there = sorted({*said, *truth})
    wrong = [
        f"{case.cause}/{case.name}: {answer}"
        for case, answer in zip(logs, said, strict=True)
        if answer != case.cause
    ]
    return {
        "accuracy": round(sum(a == b for a, b in zip(said, truth, strict=True)) / len(logs), 4),
        "macro_f1": round(sum(f1(cause, said, truth) for cause in there) / len(there), 4),
        "named_for_runs_that_did_not_die": sum(
            a != "none" and b == "none" for a, b in zip(said, truth, strict=True)
        ),
        "wrong": wrong,
    }


def f1(cause: str, said: Sequence[str], truth: Sequence[str]) -> float:
    """Of one cause."""
    both = sum(a == b == cause for a, b in zip(said, truth, strict=True))
    return 2 * both / max(said.count(cause) + truth.count(cause), 1)


def main() -> None:
    """Measures, prints, and writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--as", dest="moment", choices=["first", "second", "after"])
    moment = parser.parse_args().moment
    figures: dict[str, Any] = {}
    for name, bundle in BUNDLES.items():
        logs = list(cases(bundle))
        counts = Counter(case.cause for case in logs)
        figures[name] = {
            "logs": len(logs),
            "of each cause": {cause: counts[cause] for cause in CAUSES},
            "argus doctor log": scores(logs, by_doctor),
            "grep": scores(logs, by_grep) | {"wrong": "left out"},
        }
    print(json.dumps(figures, indent=1))
    if moment is None:
        return
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    path = HERE / "results" / f"{today}-doctor-logs.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    result |= {"date": today, "argus": __version__, moment: figures}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
