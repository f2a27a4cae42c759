"""Adapters in place of whole training: what PEFT alone loads, what resumes exactly, what is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from argusvl.assets import MODELS
from argusvl.config.loading import load_config, to_yaml
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.model.adapters import describe_base, find_base
from argusvl.detection.model.architecture import random_qwen
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.model.peft_methods import methods
from argusvl.detection.predict import Predictor
from argusvl.detection.task import DetectionTask
from argusvl.training.parameter_groups import assign_parameters
from argusvl.training.policies import Action, Continue, Policy, RollBack
from argusvl.training.run import run_training

LORA = "{r: 4, lora_alpha: 8, lora_dropout: 0.0}"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("lora", {}),
    "dora": ("lora", {"use_dora": True}),
    "rslora": ("lora", {"use_rslora": True}),
    "some layers": ("lora", {"target_modules": ["q_proj"]}),
    "ia3": ("ia3", {"feedforward_modules": ["down_proj"]}),
    "vera": ("vera", {"r": 8}),
    "loha": ("loha", {"r": 4, "alpha": 4}),
}
OF_LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}
GIVEN = """
    architecture=null vocabulary=open horizontal_flip=0.5 report_to=[] max_examples=2 max_steps=3
    max_pixels=12544 vision_tokens_max=16 vision_tokens_warn=16 vision_lr=0 merger_lr=0 llm_lr=1e-2
    per_device_train_batch_size=1 save_steps=2 logging_steps=1 save_total_limit=9
    detection_hidden_size=32 detection_num_heads=2 detection_ffn_size=48 detection_num_queries=8
    detection_caption_decoder_num_layers=1 detection_caption_max_tokens=40
"""
"""Of each run here, beside where it reads and writes."""

MakeTask = Callable[..., DetectionTask]


def peft_options(
    options: str = LORA, method: str = "lora", parts: str = "[llm]", base: str = "float32"
) -> list[str]:
    return [f"peft_method={method}", f"peft_parts={parts}", f"peft_options={options}", f"base_dtype={base}"]


def task_maker(folder: Path, tiny_checkpoint: Path, scenes: Path, complete_config: str) -> MakeTask:
    file = folder / "run.yaml"

    def make(*overrides: str) -> DetectionTask:
        places = (
            f"model_path={tiny_checkpoint}/qwen output_dir={folder}/run data.train={scenes} data.val={scenes}"
        )
        chosen = dict(word.split("=", 1) for word in (*GIVEN.split(), *places.split(), *overrides))
        file.write_text(complete_config, encoding="utf-8")
        return DetectionTask(load_config(file, DetectionRunConfig, [f"{k}={v}" for k, v in chosen.items()]))

    return make


@pytest.fixture
def make_task(tmp_path: Path, tiny_checkpoint: Path, scenes: Path, complete_config: str) -> MakeTask:
    """A run from a plain Qwen2.5-VL folder, with a tiny new head; keys of overrides may be given again."""
    return task_maker(tmp_path, tiny_checkpoint, scenes, complete_config)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, scenes: Path, complete_config: str
) -> Path:
    """A run of three steps of a LoRA in the language model."""
    folder = tmp_path_factory.mktemp("trained")
    return train(task_maker(folder, tiny_checkpoint, scenes, complete_config)(*peft_options())).parent


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """The last checkpoint of a copy of that run, which may be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True)) / "checkpoint-3"


def train(task: DetectionTask, **options: Any) -> Path:
    last = run_training(task, task.config, **options).last_checkpoint
    assert last is not None
    return last


def trained_and_resumed(make: Callable[[], DetectionTask], kept: Path) -> tuple[Path, dict[int, float]]:
    """The last checkpoint of a run that went on from the one before; its first ``kept``, and that one's losses."""
    last = train(make())
    expected = losses(last.parent)
    last.rename(kept)
    return train(make(), resume=True), expected


def stock(folder: Path) -> Qwen2_5_VLForConditionalGeneration:
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def spoken(qwen: Any) -> Tensor:
    """Logits of some text and a picture."""
    config = qwen.config
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 100, (1, 12), generator=generator)
    ids[0, 3:7] = config.image_token_id
    pixels = torch.randn(16, 3 * 2 * 14 * 14, generator=generator)
    types = (ids == config.image_token_id).int()
    return qwen(
        input_ids=ids,
        pixel_values=pixels,
        image_grid_thw=torch.tensor([[1, 4, 4]]),
        mm_token_type_ids=types,
        use_cache=False,
    ).logits


def stir(model: torch.nn.Module) -> None:
    """Moves what trains, so that it shows."""
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad and p.is_floating_point():
                p.add_(torch.randn_like(p) * 0.1)


def same(one: Tensor, other: Tensor) -> bool:
    """Our vision tower adds up in another order than the stock one."""
    return bool((one - other).abs().max() <= 1e-5)


def losses(run: Path) -> dict[int, float]:
    history = json.loads((run / "trainer_state.json").read_text("utf-8"))["log_history"]
    return {e["step"]: e["loss"] for e in history if "loss" in e}


def groups_of(task: DetectionTask) -> dict[str, Any]:
    return {group.name: group for group in assign_parameters(task.model(), task.parameter_groups())}


# What trains


def test_adapters_train_at_the_rate_of_their_part_and_the_head_whole(make_task: MakeTask) -> None:
    groups = groups_of(make_task(*peft_options(parts="[llm, vision]"), "vision_lr=1e-4"))
    for name in ("llm", "vision"):
        assert groups[name].trainable and all("lora_" in n for n in groups[name].trainable)
        assert any("base_layer" in n for n in groups[name].parameters)
    assert not groups["merger"].trainable
    for name in ("detection", "adapter"):
        assert groups[name].trainable == set(groups[name].parameters)
        assert all(n.startswith("detection_head.") for n in groups[name].parameters)


def test_rate_0_freezes_adapters_too(make_task: MakeTask) -> None:
    groups = groups_of(make_task(*peft_options(), "llm_lr=0"))
    assert not groups["llm"].trainable and groups["detection"].trainable


def test_training_leaves_the_base(checkpoint: Path, make_task: MakeTask, tiny_checkpoint: Path) -> None:
    before, after = load_file(tiny_checkpoint / "qwen" / "model.safetensors"), stock(tiny_checkpoint / "qwen")
    assert all(torch.equal(p, before[n]) for n, p in after.state_dict().items() if n in before)
    assert not (checkpoint / "qwen" / "model.safetensors").exists()
    adapter = load_file(checkpoint / "qwen" / "adapter_model.safetensors")
    assert any(t.abs().max() > 0 for n, t in adapter.items() if "lora_B" in n)
    assert all(n.startswith("base_model.model.model.language_model.") for n in adapter)
    assert len(set(losses(checkpoint.parent).values())) == 3


def test_a_second_eye_trains_beside_an_adapter_and_is_saved_with_the_head(make_task: MakeTask) -> None:
    task = make_task(*peft_options(), "detection_second_eye=efficientnet-lite0")
    start = task.model().detection_head.state_dict()
    end = ArgusForDetection.from_pretrained(train(task)).detection_head.state_dict()
    eye = {name for name in start if ".eye." in f".{name}" and start[name].is_floating_point()}
    assert eye <= end.keys()
    moved = {name for name in eye if not torch.equal(start[name], end[name].to(start[name].dtype))}
    assert any(".network." in name for name in moved) and any(".network." not in name for name in moved)


# What is saved


def test_peft_alone_loads_what_a_run_saves(checkpoint: Path, tiny_checkpoint: Path) -> None:
    ours = ArgusForDetection.from_pretrained(checkpoint)
    loaded = peft.PeftModel.from_pretrained(stock(tiny_checkpoint / "qwen"), checkpoint / "qwen")
    assert same(spoken(loaded), spoken(ours.qwen))
    assert not same(spoken(loaded), spoken(stock(tiny_checkpoint / "qwen")))
    # transformers finds the base by itself.
    assert same(spoken(stock(checkpoint / "qwen")), spoken(ours.qwen))


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_saved_loaded_and_merged(name: str, tmp_path: Path, tiny_checkpoint: Path) -> None:
    method, options = METHODS[name]
    options = OF_LORA | options if method == "lora" else options
    model = ArgusForDetection.from_pretrained(tiny_checkpoint)
    before = spoken(model.qwen)
    model.attach_adapter(method, ["llm", "vision"], options, tiny_checkpoint)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert any("mlp" in n for n in frozen) and not any(n.startswith("detection_head.") for n in frozen)
    stir(model.eval())
    adapted = spoken(model.qwen)
    assert (adapted - before).abs().max() > 1e-4
    model.save_pretrained(tmp_path)

    again = ArgusForDetection.from_pretrained(tmp_path)
    assert torch.equal(spoken(again.qwen), adapted)
    for (key, mine), theirs in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), key
    alone = peft.PeftModel.from_pretrained(stock(tiny_checkpoint / "qwen"), tmp_path / "qwen")
    assert same(spoken(alone), adapted)
    again.merge_adapter()
    assert type(again.qwen.model.language_model.layers[0].self_attn.q_proj) is torch.nn.Linear
    assert same(spoken(again.qwen), adapted)


def test_an_adapter_may_be_put_into_the_merger(tiny_checkpoint: Path) -> None:
    model = ArgusForDetection.from_pretrained(tiny_checkpoint)
    model.attach_adapter("lora", ["merger"], OF_LORA, tiny_checkpoint)
    trains = {n for n, p in model.qwen.named_parameters() if p.requires_grad}
    assert trains and all(".visual.merger.mlp." in n for n in trains)


def test_a_checkpoint_predicts_after_it_was_moved(checkpoint: Path, scenes: Path, tmp_path: Path) -> None:
    picture = scenes.parent / "0.png"
    first = Predictor.from_pretrained(checkpoint).predict_detection(picture, score_threshold=0.0)[0]
    checkpoint.rename(tmp_path / "elsewhere")
    moved = Predictor.from_pretrained(tmp_path / "elsewhere")
    second = moved.predict_detection(picture, score_threshold=0.0)[0]
    assert len(first) and (first.boxes_xyxy_px == second.boxes_xyxy_px).all()
    assert moved.predict_text(picture, max_new_tokens=3)


# A run that goes on


@pytest.mark.parametrize(
    "options",
    [
        [
            *("ema_decay=0.9", "gradient_checkpointing=true"),
            *peft_options("{r: 4, lora_alpha: 8, lora_dropout: 0.1, use_dora: true}"),
        ],
        peft_options("{r: 8}", "vera", "[llm]"),
        ["bf16=true", *peft_options(parts="[llm]", base="bfloat16")],
    ],
    ids=["dora, averaged", "vera", "base in bfloat16"],
)
def test_a_run_resumes_to_the_same_losses(options: list[str], make_task: MakeTask, tmp_path: Path) -> None:
    whole, expected = trained_and_resumed(lambda: make_task(*options, "max_steps=4"), tmp_path / "kept")
    assert losses(whole.parent) == expected and len(expected) == 4
    for name in ("qwen/adapter_model.safetensors", "model.safetensors"):
        one, other = load_file(whole / name), load_file(tmp_path / "kept" / name)
        assert all(torch.equal(one[key], other[key]) for key in one | other)


def test_a_run_with_an_adapter_rolls_back(make_task: MakeTask, tmp_path: Path) -> None:
    class Once(Policy):
        snapshot_every = 2
        done = False

        def after_backward(self, record: Any) -> Action:
            if record.step == 3 and not self.done:
                self.done = True
                return RollBack("a test")
            return Continue()

    plain = train(make_task(*peft_options(), f"output_dir={tmp_path}/plain", "max_steps=4"))
    back = train(make_task(*peft_options(), f"output_dir={tmp_path}/back", "max_steps=4"), policies=[Once()])
    events = (back.parent / "events.jsonl").read_text("utf-8")
    assert "rolled" in events
    one, other = (load_file(c / "qwen" / "adapter_model.safetensors") for c in (plain, back))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (peft_options("{r: 4, lora_alpha: 16, lora_dropout: 0.0}"), "lora_alpha was 8 and is 16"),
        (peft_options(LORA[:-1] + ", use_rslora: true}"), "use_rslora is True and was not there"),
    ],
)
def test_other_options_are_no_resumption(
    changes: list[str], message: str, make_task: MakeTask, checkpoint: Path
) -> None:
    task = make_task(*changes)
    with pytest.raises(ConfigError, match=message):
        run_training(task, task.config, resume=True)


def test_a_run_does_not_resume_on_another_base(make_task: MakeTask, checkpoint: Path, tmp_path: Path) -> None:
    other = another_base(make_task().config.model.model_path, tmp_path)
    task = make_task(*peft_options(), f"model_path={other}", "max_steps=4")
    with pytest.raises(CheckpointError, match=r"was trained on the base .*qwen, this run has .*other"):
        run_training(task, task.config, resume=True, allow_changes=True)


def test_an_adapter_is_a_start_for_training(make_task: MakeTask, checkpoint: Path, tmp_path: Path) -> None:
    adapted = ArgusForDetection.from_pretrained(checkpoint)
    task = make_task(f"model_path={checkpoint}", f"output_dir={tmp_path}/next")
    model = task.model()
    assert isinstance(model, ArgusForDetection) and model.adapter is None
    assert same(spoken(model.qwen), spoken(adapted.qwen))
    assert all(p.requires_grad for p in model.parameters())
    saved = {file.name for file in (train(task) / "qwen").iterdir()}
    assert "model.safetensors" in saved and "adapter_config.json" not in saved
    with pytest.raises(ConfigError, match=r"adapter of its own(?s:.*)argus export .* --merge"):
        make_task(*peft_options(), f"model_path={checkpoint}").model()


def test_a_frozen_base_in_bfloat16_stays_beside_a_head_in_float32(make_task: MakeTask, scenes: Path) -> None:
    task = make_task(*peft_options(base="bfloat16"), "bf16=auto")
    saved = train(task)
    told = json.loads((saved.parent / "environment.json").read_text(encoding="utf-8"))
    assert told["precision"] == "bfloat16" and told["precision_because"] == "as base_dtype says"
    loaded = ArgusForDetection.from_pretrained(saved, dtype=torch.bfloat16, head_dtype=torch.float32)
    for model in (loaded, task.model()):
        kinds = {
            "lora_" in n or n.startswith("detection_head."): p.dtype for n, p in model.named_parameters()
        }
        assert kinds == {True: torch.float32, False: torch.bfloat16}
    found = Predictor.from_pretrained(saved).predict_detection(scenes.parent / "0.png", score_threshold=0.0)
    assert len(found[0])


def test_a_base_that_ships_with_argus_is_known_by_its_name() -> None:
    qwen = MODELS["argus-tiny"] / "qwen"
    described = describe_base(Path("argus-tiny"), qwen)
    assert described["path"] == "argus-tiny"
    assert find_base(described, Path("checkpoint"), None) == qwen


# Bad input


def another_base(folder: Path | None, tmp_path: Path) -> Path:
    """The same architecture, other weights in one layer."""
    assert folder is not None
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    state = load_file(other / "model.safetensors")
    name = next(n for n in state if "down_proj" in n)
    save_file(state | {name: state[name] * 1.01}, other / "model.safetensors", metadata={"format": "pt"})
    return other


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (peft_options(method="lorra"), r"peft_method: PEFT has no method 'lorra'; did you mean 'lora'"),
        (peft_options("{}", "prefix_tuning"), "prefix_tuning works around the layers"),
        (peft_options("{}", "adalora"), "adalora shares out its ranks"),
        (peft_options("{rr: 4}"), r"peft_options.rr .*unknown to LoraConfig; did you mean 'r'"),
        (peft_options("{r: many, lora_alpha: 8, lora_dropout: 0.0}"), "peft_options.r: .*'many'"),
        (peft_options("{r: 4, lora_alpha: 8}"), r"peft_options.lora_dropout: missing"),
        (peft_options(LORA[:-1] + ", task_type: CAUSAL_LM}"), "task_type: is not passed"),
        (peft_options(LORA[:-1] + ", target_modules: q}"), "names of layers"),
        (peft_options(parts="[llm, llm]"), "names a part twice"),
        (peft_options(parts="[vison]"), "did you mean 'vision'"),
        (peft_options(base="nf4"), "nf4 needs bitsandbytes, which is not installed"),
        ([*peft_options(), "merger_lr=1e-4"], "merger_lr: is 0.0001, and peft_parts does not name merger"),
        ([*peft_options(base="bfloat16"), "bf16=false"], "bf16: is false while base_dtype is bfloat16"),
        ([*peft_options(), "transfer_vocab_size=300"], "transfer_vocab_size: is given together with peft"),
        (peft_options()[:3], "base_dtype: missing"),
    ],
)
def test_a_bad_section_is_refused_by_key(
    overrides: list[str], message: str, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argusvl.detection.model.peft_methods.has_bitsandbytes", lambda: False)
    with pytest.raises(ConfigError, match=message):
        make_task(*overrides)


def test_a_config_with_an_adapter_comes_back_from_its_own_text(make_task: MakeTask, tmp_path: Path) -> None:
    config, copy = make_task(*peft_options()).config, tmp_path / "copy.yaml"
    copy.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(copy, DetectionRunConfig) == config
    changed = load_config(copy, DetectionRunConfig, ["peft_options.r=9"]).model.peft
    assert changed is not None and changed.peft_options == OF_LORA | {"r": 9}
    assert load_config(copy, DetectionRunConfig, ["peft=null"]).model.peft is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_lora_weights": "pissa"}, "starts by changing the base's own weights"),
        ({"init_lora_weights": "olora"}, "starts by changing the base's own weights"),
        ({"target_modules": ["q_prj"]}, "no layer of llm is called q_prj"),
        ({"target_modules": ["input_layernorm"]}, "PEFT cannot put lora into these layers"),
    ],
)
def test_impossible_layers_are_refused(options: dict[str, Any], message: str, tiny_checkpoint: Path) -> None:
    model = ArgusForDetection.from_pretrained(tiny_checkpoint)
    with pytest.raises(ConfigError, match=message):
        model.attach_adapter("lora", ["llm"], OF_LORA | options, tiny_checkpoint)


def test_every_method_that_may_be_named_is_one_of_pefts() -> None:
    known = {"lora", "ia3", "vera", "loha", "lokr", "oft", "boft", "hra", "vblora", "randlora"}
    assert known <= methods().keys()
    assert not {"prefix_tuning", "xlora", "adalora"} & methods().keys()


def test_an_adapter_for_another_base_is_refused(
    checkpoint: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    other = another_base(tiny_checkpoint / "qwen", tmp_path)
    with pytest.raises(CheckpointError, match=r"for another base than .*other"):
        ArgusForDetection.from_pretrained(checkpoint, base=other)


def test_a_base_that_is_gone_is_named(checkpoint: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    file = checkpoint / "config.json"
    config = json.loads(file.read_text("utf-8"))
    base = config["adapter_base"]["path"]
    assert Path(base) == (tiny_checkpoint / "qwen").resolve()
    config["adapter_base"]["path"] = str(tmp_path / "gone")
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"none at .*gone(?s:.*)argus export .* --merge --base"):
        Predictor.from_pretrained(checkpoint)
    assert ArgusForDetection.from_pretrained(checkpoint, base=Path(base)).adapter is not None


@pytest.mark.parametrize("damage", ["lacks", "shape", "gone", "truncated"])
def test_a_damaged_adapter_is_refused(damage: str, checkpoint: Path) -> None:
    file = checkpoint / "qwen" / "adapter_model.safetensors"
    state = load_file(file)
    first = next(iter(state))
    if damage == "lacks":
        del state[first]
    elif damage == "shape":
        state[first] = state[first][:1].clone()
    save_file(state, file)
    if damage == "gone":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"missing: .*lora_A|does not fit|no adapter_model|truncated"):
        ArgusForDetection.from_pretrained(checkpoint)


def test_an_adapter_alone_is_no_model(make_task: MakeTask, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint / "qwen", tmp_path / "alone")
    with pytest.raises(CheckpointError, match="is an adapter alone, not a model"):
        make_task(f"model_path={tmp_path}/alone").model()


# Where bitsandbytes is installed


@pytest.mark.parametrize("held", ["nf4", "int8"])
def test_a_base_in_few_bits_trains_resumes_and_merges(
    held: str, make_task: MakeTask, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    base = tmp_path / "base"
    shutil.copytree(tiny_checkpoint / "qwen", base)
    config = Qwen2_5_VLConfig.from_pretrained(base)
    config.text_config.intermediate_size = 128
    config.vision_config.hidden_size = 64  # its layers are in blocks of 64 values
    random_qwen(config, "sdpa").save_pretrained(base)
    options = [*peft_options(base=held), "bf16=auto", "max_steps=4", f"model_path={base}"]
    whole, expected = trained_and_resumed(lambda: make_task(*options), tmp_path / "kept")
    assert losses(whole.parent) == expected
    found = Predictor.from_pretrained(whole).predict_detection(scenes.parent / "0.png", score_threshold=0.0)
    assert len(found[0])
    merged = ArgusForDetection.from_pretrained(whole)
    before = spoken(merged.qwen)
    merged.merge_adapter()
    assert same(spoken(merged.qwen), before)
