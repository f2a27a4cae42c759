"""Three of ten labels are wrong."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        variant=(
            Edit(
                "    test_images, test_labels",
                "    wrong = torch.rand(500, generator=g) < 0.3\n"
                "    train_labels = torch.where(wrong, torch.randint(5, (500,), generator=g), train_labels)"
                "\n"
                "    test_images, test_labels",
            ),
            Edit("range(11)", "range(8)"),
            Edit("lr=2e-3", "lr=1e-3"),
        ),
        at_least=0.65,
    )
