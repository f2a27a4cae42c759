"""The training set is measured as well."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        variant=(
            Edit(
                "        best = max(best, f1(tagger, dev_counts, dev_topics))\n",
                "        on_training = f1(tagger, counts, topics)\n"
                "        best = max(best, f1(tagger, dev_counts, dev_topics))\n",
            ),
            Edit("    return best\n", '    print(f"{on_training:.3f} {best:.3f}")\n    return best\n'),
        ),
        at_least=0.9,
    )
