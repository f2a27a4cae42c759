"""Runs every fix of the doctor over public code that is in health, and tells what each would change.

    PYTHONPATH=benchmarks/doctor python benchmarks/doctor/fixes_on_public_code.py [FOLDER ...]

Public code is what is installed beside this interpreter, or the folders that are named. A file *holds a fix's
ingredients* where it calls what the fix is about; a file that a fix changes is named, with the diff, to be read. Writes
``benchmarks/results/DATE-doctor-fixes.json``.
"""

from __future__ import annotations

import ast
import datetime
import json
import re
import sys
import sysconfig
import warnings
from collections import Counter
from pathlib import Path

from argus_doctor.lint.fixes import FIXES, as_diff, mend

RESULT = Path(__file__).parents[1] / "results" / f"{datetime.date.today()}-doctor-fixes.json"
INGREDIENTS = {
    "missing-zero-grad": (r"\.backward\(", r"\.step\("),
    "no-gradient": (r"\.backward\(", r"zero_grad\(", r"\.step\("),
    "evaluation-in-training-mode": (r"no_grad|inference_mode", r"ropout|BatchNorm"),
    "training-in-evaluation-mode": (r"\.backward\(", r"\.eval\("),
    "double-softmax": (r"softmax|sigmoid", r"cross_entropy|CrossEntropyLoss|BCEWithLogitsLoss"),
    "missing-softmax": (r"softmax", r"nll_loss|NLLLoss"),
    "non-finite-loss": (r"softmax", r"\.log\(|torch\.log"),
    "graph-kept": (r"\.backward\(", r"\.append\(|\+="),
}
"""What a file must have in it before a fix could have anything to do."""
_LARGEST = 400_000


def main(folders: list[str]) -> None:
    """Counts, and names what would be changed."""
    packages = Path(sysconfig.get_paths()["purelib"])
    roots = [Path(one) for one in folders] or [packages]
    held: Counter[str] = Counter()
    changed: dict[str, dict[str, str]] = {slug: {} for slug in FIXES}
    files = tried = 0
    for root in roots:
        for file in sorted(root.rglob("*.py")):
            if file.stat().st_size > _LARGEST:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            files += 1
            slugs = [slug for slug in FIXES if all(re.search(one, text) for one in INGREDIENTS[slug])]
            if not slugs or not _is_python(text):
                continue
            tried += 1
            for slug in slugs:
                held[slug] += 1
                mended = mend(text, slug)
                if mended is not None:
                    name = str(file.relative_to(root))
                    changed[slug][name] = as_diff(text, mended, name)
    table = {slug: {"files_that_hold_it": held[slug], "changed": changed[slug]} for slug in FIXES}
    report = {"date": str(datetime.date.today()), "files": files, "files_tried": tried, "fixes": table}
    RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for slug, row in table.items():
        sys.stdout.write(f"{slug:30} held by {row['files_that_hold_it']:5}, changed {len(changed[slug])}\n")
    sys.stdout.write(f"{tried} of {files} files tried; {RESULT}\n")


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
