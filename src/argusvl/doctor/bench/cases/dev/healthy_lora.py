"""LoRA, whose second factor begins at zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit(
                "class Classifier(nn.Module):",
                "class LoRALinear(nn.Module):\n"
                "    def __init__(self, base, rank=4):\n"
                "        super().__init__()\n"
                "        self.base = base\n"
                "        for p in base.parameters():\n"
                "            p.requires_grad = False\n"
                "        self.lora_A = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)\n"
                "        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))\n"
                "\n"
                "    def forward(self, x):\n"
                "        return self.base(x) + x @ self.lora_A.T @ self.lora_B.T\n"
                "\n"
                "\n"
                "class Classifier(nn.Module):",
            ),
            Edit(
                "    model = Classifier(backbone, 8)\n    params = list(model.parameters())\n",
                "    for p in backbone.parameters():\n"
                "        p.requires_grad = False\n"
                "    backbone.layer1 = LoRALinear(backbone.layer1)\n"
                "    backbone.layer2 = LoRALinear(backbone.layer2)\n"
                "    model = Classifier(backbone, 8)\n"
                "    params = [p for p in model.parameters() if p.requires_grad]\n",
            ),
            Edit("lr=1e-3", "lr=5e-3"),
        ),
        at_least=0.9,
    )
