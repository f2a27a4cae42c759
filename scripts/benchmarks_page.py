"""The page of benchmarks, made from the dated results in ``benchmarks/results/``: who, what, ratio, machine, command.

A result that has no entry in :data:`BENCHMARKS` is an error: nothing stands in the folder that the page leaves out, and
nothing on the page that no command makes again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.core.strict_json import decode_json

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
Rows = list[tuple[str, ...]]
_HEAD = """# Results, from their files

Made from the dated files in `benchmarks/results/` by `scripts/benchmarks_page.py`: each was
written by the command that stands above it, on the machine that it names. [What was measured](figures.md) says what the
figures mean and what they do not.

"""


@dataclass(frozen=True)
class Benchmark:
    """How the result files of one command are shown.

    Attributes:
        title: What was measured.
        command: What makes it again; its first word that ends in ``.py`` or in ``.yaml`` is a file here.
        columns: Of the table.
        rows: A result → the rows.
    """

    title: str
    command: str
    columns: tuple[str, ...]
    rows: Callable[[Any], Rows]


def _number(value: Any, digits: int = 3) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _runs(result: Any) -> Rows:
    rows = []
    for run in result["runs"]:
        test, minutes = run.get("test", {}), run.get("wall_minutes", run["train_minutes"])
        who = f"Argus, {run['name']}"
        rows.append(
            (
                who,
                str(run["steps"]),
                _number(run["val_AP50"]),
                *(_number(test.get(k)) for k in ("AP50", "AP")),
                f"{minutes:.0f}",
            )
        )
    peers = result.get("peers_AP50") or {}
    return [*rows, *((name, "", "", _number(value), "", "") for name, value in peers.items())]


def _released(result: Any) -> Rows:
    training = result["training"]
    held = training.get("highest_on_gpu_gib", training["highest_own_gib"])
    row = (result["machine"], training["tokens"], result["predicted_gib"], held, training["steps"])
    return [tuple(map(str, (*row, training["minutes"])))]


def _utilisation(result: Any) -> Rows:
    rows = []
    for run in result["runs"]:
        passes = run.get("seconds_of_passes", {})
        batch = f"{run['samples']} × {run['tokens']:,}" + ", checkpointing" * run["checkpointing"]
        measured = (
            f"{run['tokens_per_second']:,.0f}",
            f"{run['utilisation']:.1%}",
            _number(run["peak_gib"], 1),
        )
        both = [_number(passes[name], 2) if passes else "" for name in ("ours", "stock")]
        rows.append((run["device"], batch, *measured, *both))
    return rows


def _throughput(result: Any) -> Rows:
    own = result["systems"]["packed"]["real_tokens_per_cpu_second"]
    return [
        (
            name,
            _number(s["real_tokens_per_cpu_second"]),
            f"{own / s['real_tokens_per_cpu_second']:.2f}",
            f"{s['padding_share']:.0%}",
            _number(s["peak_mib"]),
        )
        for name, s in result["systems"].items()
    ]


def _head_vs_text(result: Any) -> Rows:
    rows = []
    for machine in ("as it is", "AVX2 only"):
        for part in result[machine]:
            text = part["boxes_per_second"]["text"]
            rows += [
                (machine, str(part["batch_size"]), who, _number(value, 1), f"{value / text:.1f}")
                for who, value in part["boxes_per_second"].items()
            ]
    return rows


def _few_shot(result: Any) -> Rows:
    ways = [
        (f"{w['classifier']}, {w['features']} vectors, {w['views']} view(s)", w["accuracy"])
        for w in result["ways"]
    ]
    return [(who, *(f"{100 * shots[k]:.1f} %" for k in ("1", "5", "10", "20"))) for who, shots in ways]


def _bench(result: Any) -> Rows:
    rows = []
    for suite in (one for one in ("dev", "reported", "other-loops", "healthy") if one in result):
        found = result[suite]["summary"]
        keys = (
            "detected",
            "class_named",
            "place_right",
            "healthy_runs_with_error",
            "healthy_runs_with_alarm",
        )
        rows.append((suite, *(_of(found[key]) for key in keys)))
    return rows


def _growth(result: Any) -> Rows:
    rows = []
    for what, lines in result["growth"].items():
        for name, line in lines.items():
            amounts = list(line["seconds"].items())
            ends = (f"{amount}: {_number(value)}" for amount, value in (amounts[0], amounts[-1]))
            rows.append((what, name, *ends, _number(line["slope"], 2)))
    return rows


def _of(pair: Any) -> str:
    return f"{pair[0]} of {pair[1]}" if pair[1] else ""


def _overhead(result: Any) -> Rows:
    machines = result.get("machines") or {result["machine"]: result["models"]}
    rows = []
    for machine, models in machines.items():
        for model in models:
            bounds = model.get("watched_95")
            error = model.get("watched_standard_error")
            spread = f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else f"± {1.96 * error:.3f}"
            ms, watched = _number(model["step_ms"], 1), f"× {model['watched']:.3f}"
            rows.append((machine, model["model"], ms, watched, spread, f"× {model['control']:.3f}"))
    return rows


def _peers(result: Any) -> Rows:
    peers = result["dev"].items()
    keys = ("detected", "class_named", "healthy_runs_with_alarm")
    return [(name, *(_of(peer["summary"][key]) for key in keys)) for name, peer in peers]


def _logs(result: Any) -> Rows:
    return [
        (
            stage,
            part,
            str(of["logs"]),
            *(_number(of[who]["macro_f1"], 2) for who in ("argus doctor log", "grep")),
        )
        for stage in ("first", "second", "after")
        for part, of in result[stage].items()
    ]


def _busy(result: Any) -> Rows:
    return [
        (what, when, how, _number(figures["images_per_second"], 1))
        for what in ("training", "prediction")
        for when, ways in result[what].items()
        for how, figures in ways.items()
    ]


def _first_bench(result: Any) -> Rows:
    first, after = result["first"], result["after"]["summary"]
    return [
        (
            "first sight",
            f"{first['detected']} of {first['faulty']}",
            f"{first['healthy_with_alarm']} of {first['healthy']}",
        ),
        ("after mending", _of(after["detected"]), _of(after["healthy_runs_with_alarm"])),
    ]


def _starts(result: Any) -> Rows:
    return [
        (
            records,
            when,
            _number(part["imports_seconds"], 1),
            _number(part["seconds_after"], 1),
            _number(part["peak_mb"], 0),
        )
        for records, parts in result["starts"].items()
        for when, part in parts.items()
        if isinstance(part, dict)
    ]


def _hand(result: Any) -> Rows:
    found = result["held_out_drawn_hands"]
    names = ("mpjpe_root", "mpjpe_pa", "mean_pose_mpjpe_root", "mean_pose_mpjpe_pa")
    return [tuple(_number(found[name], 1) for name in names)]


def _soak(result: Any) -> Rows:
    return [
        (name, _number(result[key]["images"]), _number(result[key]["high"], 0), result[key]["verdict"])
        for name, key in (("extraction", "extraction"), ("with a leak put in", "leaking_control"))
    ]


def _search(result: Any) -> Rows:
    exact, product, index = min(result["exact_seconds"]), result["product_seconds"], result["lancedb"]
    return [
        ("all compared", f"{exact:.0f} s for {result['queries']:,} queries", "exact"),
        ("a bare matrix product", f"{sum(product) / len(product):.0f} s", "exact"),
        ("LanceDB's HNSW", f"{index['ms_per_query']:.1f} ms a query", f"recall@1 {index['recall_at_1']:.3f}"),
    ]


_PHOTOGRAPHS = ("who", "steps", "val AP50", "test AP50", "test AP", "minutes")
BENCHMARKS: dict[str, Benchmark] = {
    r"argus-tiny": Benchmark(
        "argus-tiny, as it ships, on held-out drawn scenes",
        "scripts/make_argus_tiny.py",
        ("figure", "value"),
        lambda r: [(k, _number(v)) for k, v in r["held_out_scenes"].items()],
    ),
    r"bccd-figure-\w+": Benchmark(
        "Blood cells", "benchmarks/photographs.py bccd figure", _PHOTOGRAPHS, _runs
    ),
    r"chess-figure-\w+": Benchmark(
        "Chess pieces", "benchmarks/photographs.py chess figure", _PHOTOGRAPHS, _runs
    ),
    r"cards-figure-\w+": Benchmark(
        "Playing cards", "benchmarks/photographs.py cards figure", _PHOTOGRAPHS, _runs
    ),
    r"bccd-ablations-\w+": Benchmark(
        "Parts of the recipe, one changed at a time, blood cells",
        "benchmarks/photographs.py bccd ablations (--weights random on 2026-11-21)",
        _PHOTOGRAPHS,
        _runs,
    ),
    r"bccd-curve-\w+": Benchmark(
        "From how many photographs, blood cells", "benchmarks/photographs.py bccd curve", _PHOTOGRAPHS, _runs
    ),
    r"bccd-queries-\w+": Benchmark(
        "Learned queries against proposals, blood cells",
        "benchmarks/photographs.py bccd queries --weights random --steps 800",
        _PHOTOGRAPHS,
        _runs,
    ),
    r"cifar10-fewshot": Benchmark(
        "CIFAR-10 from a few examples",
        "benchmarks/cifar10_fewshot.py",
        ("way", "1 shot", "5 shots", "10 shots", "20 shots"),
        _few_shot,
    ),
    r"data-check": Benchmark(
        "argus data check on 10,000 photographs",
        "benchmarks/data_check.py",
        ("seconds", "images a second", "peak MiB", "times the plain decoding"),
        lambda r: [
            (
                *(_number(r["check"][k], 1) for k in ("seconds", "images_per_second", "peak_memory_mib")),
                _number(r["times_the_baseline"], 2),
            )
        ],
    ),
    r"decoding": Benchmark(
        "Lanes of decoding",
        "benchmarks/decoding.py",
        ("size", "lane", "images a second", "times exact"),
        lambda r: [
            (size, lane, _number(speed, 0), _number(of["times_faster_than_exact"][lane], 2))
            for size, of in r["sizes"].items()
            for lane, speed in of["images_per_second"].items()
        ],
    ),
    r"extraction-kill": Benchmark(
        "Extraction, killed at random moments",
        "benchmarks/extraction.py kill",
        ("kills", "the same bytes"),
        lambda r: [(str(r["kills"]), str(r["byte_identical"]))],
    ),
    r"extraction-search": Benchmark(
        "A million vectors asked", "benchmarks/extraction.py search", ("way", "time", "quality"), _search
    ),
    r"extraction-exact-search": Benchmark(
        "A million vectors asked, against a matrix product on one thread",
        "benchmarks/extraction.py exact-search",
        (
            "queries",
            "product, processor s",
            "exact search, processor s",
            "times as fast (least, median, most)",
        ),
        lambda r: [
            (
                _number(r["queries"]),
                *(", ".join(map(str, r["processor_seconds"][k])) for k in ("product", "exact")),
                " / ".join(_number(v, 2) for v in r["times_the_product_s_speed"]),
            )
        ],
    ),
    r"extraction-soak": Benchmark(
        "Memory over 10,000 images",
        "benchmarks/extraction.py soak",
        ("what", "images", "further bytes an image, 95 % bound", "verdict"),
        _soak,
    ),
    r"extraction-throughput": Benchmark(
        "Images to vectors",
        "benchmarks/extraction.py throughput",
        ("way", "images a second", "times the plain loop"),
        lambda r: [
            (way, _number(speed, 0), _number(r["over_the_plain_loop"][way], 2))
            for way, speed in r["images_per_second"].items()
        ],
    ),
    r"preprocessing": Benchmark(
        "What a backbone's own preprocessing is worth (percent right)",
        "benchmarks/preprocessing.py",
        ("preprocessing", "1 shot", "5 shots", "10 shots", "20 shots"),
        lambda r: [(way, *map(str, shots.values())) for way, shots in r["accuracy_by_shots"].items()],
    ),
    r"pixels": Benchmark(
        "Photographs to patches, against transformers' image processor",
        "benchmarks/pixels.py",
        ("pictures", "who", "ms a picture", "Argus times as fast (95 %)", "largest difference"),
        lambda r: [
            (
                size,
                who,
                _number(of["ms_a_picture"], 1),
                "{:.2f} ({:.2f} to {:.2f})".format(*of["argus_times_as_fast"]),
                _number(of["largest_difference"], 1),
            )
            for size, ways in r["sizes"].items()
            for who, of in ways.items()
        ],
    ),
    r"doctor-bench-peers": Benchmark(
        "Other detectors on the doctor's development faults, as they were on that day",
        "benchmarks/doctor/peers.py dev",
        ("who", "found", "named", "healthy runs with an alarm"),
        _peers,
    ),
    r"2026-11-22-doctor-bench": Benchmark(
        "The doctor's benchmark as it was on that day",
        "argus doctor bench",
        ("when", "found", "healthy runs with an alarm"),
        _first_bench,
    ),
    r"doctor-bench": Benchmark(
        "The doctor's benchmark",
        "argus doctor bench --suite reported",
        ("suite", "found", "named", "place right", "healthy with an error", "healthy with a hint"),
        _bench,
    ),
    r"doctor-logs": Benchmark(
        "Why a log ends (macro-F1)",
        "benchmarks/doctor_logs.py",
        ("stage", "logs", "number", "argus doctor log", "grep"),
        _logs,
    ),
    r"doctor-overhead": Benchmark(
        "What watching costs",
        "benchmarks/doctor_overhead.py",
        ("machine", "model", "step, ms", "watched", "95 %", "unwatched copy"),
        _overhead,
    ),
    r"doctor-signs": Benchmark(
        "How often each sign of the doctor is right",
        "benchmarks/doctor/fit.py",
        ("sign", "probability", "seen", "right"),
        lambda r: [(k, _number(v["probability"]), str(v["seen"]), str(v["right"])) for k, v in r.items()],
    ),
    r"head-vs-text": Benchmark(
        "The head against the same model's written answer",
        "benchmarks/head_vs_text.py runs/demo runs/demo/data/test.jsonl",
        ("processor", "pictures at a time", "who", "boxes a second", "times text"),
        _head_vs_text,
    ),
    r"startup": Benchmark(
        "Start of the commands",
        "benchmarks/startup.py",
        ("command", "seconds", "processor seconds"),
        lambda r: [
            (f"`{k}`", _number(v["wall_seconds"], 2), _number(v["cpu_seconds"], 2))
            for k, v in r["commands"].items()
        ],
    ),
    r"startup-records": Benchmark(
        "How soon training makes its first step",
        "benchmarks/startup.py --records",
        ("records", "when", "imports, s", "after them, s", "peak MB"),
        _starts,
    ),
    r"teachers": Benchmark(
        "Whether demonstrations pay: the demo's recipe with teachers before some of its samples",
        "benchmarks/teachers.py",
        ("teacher ratio", "seed", "AP50", "AP", "caption_exact"),
        lambda r: [
            (
                str(run["teacher_ratio"]),
                str(run["seed"]),
                *(_number(run["measured"][k]) for k in ("AP50", "AP", "caption_exact")),
            )
            for run in r["runs"]
        ],
    ),
    r"train-throughput(-\w+)*": Benchmark(
        "Real tokens a second of training",
        "benchmarks/train_throughput.py --trl PYTHON",
        ("who", "real tokens a processor second", "packed over it", "padding", "peak MiB"),
        _throughput,
    ),
    r"training-kill": Benchmark(
        "Training, killed at random moments",
        "benchmarks/training_kill.py",
        ("case", "kills", "the same losses"),
        lambda r: [(c["case"], str(c["kills"]), _number(c["equal"])) for c in r["cases"]],
    ),
    r"argus-hand": Benchmark(
        "argus-hand on held-out drawn hands, mm",
        "scripts/make_argus_hand.py",
        ("to the wrist", "after the similarity", "mean pose, to the wrist", "mean pose, after"),
        _hand,
    ),
    r"hands-beside-mediapipe": Benchmark(
        "Hands on photographs without labels: distance from MediaPipe's landmarks, which are no truth",
        "benchmarks/hands_beside_mediapipe.py PHOTOGRAPHS --mediapipe PYTHON",
        ("who", "in the picture, of the hand's extent", "after the similarity, mm", "hands"),
        lambda r: [
            (
                who,
                _number(found["in_picture"], 3),
                _number(found["after_similarity_mm"], 1),
                str(r["hands"]),
            )
            for who, found in r["checkpoints"].items()
        ],
    ),
    r"argus-hand-turned": Benchmark(
        "argus-hand, one look at a hand and three, mm",
        "argus eval argus-hand HANDS --json",
        ("looks", "to the wrist", "after the similarity", "hands"),
        lambda r: [
            (looks, *(_number(r[key][k]) for k in ("mpjpe_root", "mpjpe_pa")), str(r[key]["hands"]))
            for looks, key in (("one", "once"), ("three, turned", "turned"))
        ],
    ),
    r"learning-rates": Benchmark(
        "Photographs with other learning rates than `argus init` writes; held out, half way",
        "argus train CONFIG bf16=false adapter_lr=0.003",
        ("set", "changed", "seed", "step", "AP50", "AP", "description right"),
        lambda r: [
            (
                one["set"],
                ", ".join(f"{key} {value}" for key, value in one["changed"].items()) or "nothing",
                str(one["seed"]),
                f"{at['step']} of {one['max_steps']}",
                *(_number(at[k]) for k in ("AP50", "AP", "caption_exact")),
            )
            for one in r["runs"]
            for at in one["val"]
        ],
    ),
    r"without-mosaics": Benchmark(
        "Photographs without mosaics, in batches of 8 (as `argus init` writes) and of 4, one seed",
        "argus train CONFIG per_device_train_batch_size=4",
        ("set", "batch", "steps", "minutes", "val AP", "test AP50", "AP", "description right"),
        lambda r: [
            (
                one["set"],
                str(one["batch"]),
                str(one["steps"]),
                _number(one["train_minutes"]),
                _number(one["val_AP"]),
                *(_number(one["test"][k]) for k in ("AP50", "AP", "caption_exact")),
            )
            for one in r["runs"].values()
        ],
    ),
    r"words-apart": Benchmark(
        "Photographs from a base whose unused words are drawn apart; held out, one seed",
        "argus train CONFIG max_pixels=125440 max_steps=120",
        ("what", "set", "steps", "AP50", "AP", "description right"),
        lambda r: [
            (what, one["set"], str(one["steps"]), *(_number(one[k]) for k in ("AP50", "AP", "caption_exact")))
            for what, one in [
                *r["short"].items(),
                *(
                    (f"`argus init`'s, of {one['steps']} steps", one | {"steps": step} | figures)
                    for one in r["whole"].values()
                    for step, figures in one["held_out"].items()
                ),
                *(
                    (f"the same to its end, {one['train_minutes']} minutes, test split", one | one["test"])
                    for one in r["whole"].values()
                ),
            ]
        ],
    ),
    r"boxes": Benchmark(
        "What makes boxes of photographs more exact, one seed",
        "argus train CONFIG max_pixels=125440 max_steps=120",
        ("what", "set", "AP50", "AP", "AP75"),
        lambda r: [
            (what, one["set"], *(_number(figures[k]) for k in ("AP50", "AP", "AP75")))
            for what, one, figures in [
                *((f"{one['what']}; 120 steps, held out", one, one) for one in r["short"]),
                *(
                    (f"{one['what']}; {one['steps']} steps, held out", one, one["held_out"])
                    for one in r["whole"]
                ),
                *(
                    (f"{one['what']}; {one['steps']} steps, test split", one, one["test"])
                    for one in r["whole"]
                ),
                *((one["what"], one, one) for one in r["mirror"]),
            ]
        ],
    ),
    r"crops-named": Benchmark(
        "Crops of test photographs named right by a fine-tuned EfficientNet-Lite0",
        "benchmarks/crops_named.py DATA",
        ("set", "kinds", "crops", "minutes", "right"),
        lambda r: [
            (name, str(one["kinds"]), str(one["test_crops"]), _number(one["minutes"]), _number(one["right"]))
            for name, one in r.items()
        ],
    ),
    r"argus-hand-finder": Benchmark(
        "argus-hand-finder on held-out drawn scenes",
        "scripts/make_argus_hand_finder.py",
        ("AP50", "AP", "recall", "scenes", "hands"),
        lambda r: [
            tuple(_number(r["held_out_scenes"][k]) for k in ("AP50", "AP", "recall", "images", "objects"))
        ],
    ),
    r"growth": Benchmark(
        "Cost as work grows, seconds",
        "benchmarks/growth.py",
        ("what", "of", "least", "most", "slope of the last tenfold, 1 is proportional"),
        _growth,
    ),
    r"hands-demo": Benchmark(
        "The hands' demo, from argus-hand, mm",
        "argus train configs/manipulation_demo.yaml",
        ("to the wrist", "after the similarity", "mean pose, to the wrist", "mean pose, after"),
        _hand,
    ),
    r"hands-ablations": Benchmark(
        "Parts of the hand model, mm",
        "benchmarks/hands_ablations.py",
        ("changed", "to the wrist", "after the similarity", "findings"),
        lambda r: [
            (k, _number(v["mpjpe_root"], 1), _number(v["mpjpe_pa"], 1), ", ".join(v["found"]))
            for k, v in r.items()
        ],
    ),
    r"serving": Benchmark(
        "Pictures of 64 x 64 a second over HTTP",
        "benchmarks/serving.py throughput",
        ("clients", "one at a time", "in batches", "ratio", "p50 / p95 / p99 in batches, ms"),
        lambda r: [
            (
                str(row["clients"]),
                *(_number(row[way]["per_second"], 1) for way in ("one at a time", "batched")),
                _number(row["ratio"], 2),
                " / ".join(_number(row["batched"][f"p{share}_ms"], 0) for share in (50, 95, 99)),
            )
            for row in r.get("throughput", {"pictures": {"64x64": []}})["pictures"][
                "64x64"
            ]  # a day may have other parts only
        ],
    ),
    r"released-size(-cuda-\w+)?": Benchmark(
        "A published shape, random weights: LoRA, bfloat16, checkpointing",
        "benchmarks/released_size.py",
        (
            "machine",
            "tokens of the largest batch",
            "memory predicted, GiB",
            "its own, GiB",
            "steps",
            "minutes",
        ),
        _released,
    ),
    r"gpu-utilisation": Benchmark(
        "How much of a GPU training uses: the published 3B shape, all weights trained",
        "benchmarks/gpu_utilisation.py --peak 989e12 --stock",
        (
            "GPU",
            "samples × tokens",
            "tokens a second",
            "of its FLOP/s",
            "peak, GiB",
            "both passes, s",
            "the stock model's",
        ),
        _utilisation,
    ),
    r"predict-batch": Benchmark(
        "A folder predicted by one process and by Ray",
        "benchmarks/predict_batch.py",
        ("way", "images a second in each round", "seconds in all"),
        lambda r: [
            (way, *(", ".join(_number(v, 1) for v in r[key][way]) for key in ("of_rounds", "seconds_in_all")))
            for way in r["of_rounds"]
        ],
    ),
    r"active-labelling-\w+": Benchmark(
        "Photographs chosen by `argus data next` against chance",
        "benchmarks/active_labelling.py SET",
        ("seed", "chosen", "photographs", "boxes", "AP50"),
        lambda r: [
            (str(run["seed"]), way, str(one["images"]), str(one["objects"]), _number(one["AP50"]))
            for run in r["runs"]
            for way in ("chance", "next")
            for one in run[way]
        ],
    ),
    r"doctor-fixes": Benchmark(
        "The doctor's fixes on public code that holds what they look for",
        "benchmarks/doctor/fixes_on_public_code.py",
        ("fix", "files", "of them changed"),
        lambda r: [
            (name, str(of["files_that_hold_it"]), str(len(of["changed"]))) for name, of in r["fixes"].items()
        ],
    ),
    r"busy-machine": Benchmark(
        "How threads wait", "benchmarks/busy_machine.py", ("what", "beside", "how", "images a second"), _busy
    ),
    r"kernel-cache": Benchmark(
        "Memory by the kernels that oneDNN keeps",
        "benchmarks/kernel_cache.py",
        ("kernels kept", "highest MiB", "samples a second"),
        lambda r: [
            (k, _number(v["highest_mib"]), _number(v["samples_per_second"], 1))
            for k, v in r["kernels"].items()
        ],
    ),
}
"""By what follows the date in a file's name, or by the whole name where one day was measured otherwise."""


def benchmark_of(file: Path) -> Benchmark:
    """The entry of a result file.

    Raises:
        LookupError: There is none.
    """
    for name in (file.stem, re.sub(r"^\d{4}-\d\d-\d\d-", "", file.stem)):
        for pattern, benchmark in BENCHMARKS.items():
            if re.fullmatch(pattern, name):
                return benchmark
    raise LookupError(f"{file.name} has no entry in BENCHMARKS of scripts/benchmarks_page.py")


def page(results: Path = RESULTS) -> str:
    """The whole page."""
    parts = [_HEAD]
    for file in sorted(results.glob("*.json"), key=lambda f: (benchmark_of(f).title, f.stem)):
        benchmark, result = benchmark_of(file), decode_json(file.read_text(encoding="utf-8"))
        rows = list(benchmark.rows(result))
        date = file.stem[:10]
        command = (
            benchmark.command if benchmark.command.startswith("argus ") else f"python {benchmark.command}"
        )
        facts = [f"`{command}`", _machine(result), f"`benchmarks/results/{file.name}`"]
        parts.append(f"## {benchmark.title} ({date}{_weights(result)})\n\n{'; '.join(facts)}.\n\n")
        if not rows:
            parts.append("A part of the benchmark that has no table.\n\n")
            continue
        lines = [benchmark.columns, tuple("---" for _ in benchmark.columns), *rows]
        parts += [f"| {' | '.join(line)} |\n" for line in lines]
        parts.append("\n")
    return "".join(parts)


def _weights(result: Any) -> str:
    weights = result.get("weights")
    return f", from {'random weights' if weights == 'random' else weights}" if weights else ""


def _machine(result: Any) -> str:
    machine = result.get("machine")
    if isinstance(machine, dict):
        facts = [f"{machine['cores']} cores"]
        facts += [f"{machine['memory_gib']} GiB"] if "memory_gib" in machine else []
        facts += [f"torch {machine['packages']['torch']}"] if "packages" in machine else []
        facts += [f"load {machine['load']}"] if "load" in machine else []
        return ", ".join(facts)
    if machine is None and "machines" in result:
        return "machines in the table"
    return str(machine) if machine else "the file names no machine"


if __name__ == "__main__":
    sys.stdout.write(page())
