"""``argus train``: trains by a configuration file, or says what such a run would be."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from argus_doctor.rendering import print_findings
from argusvl.cli.session import current_session, start_run_log
from argusvl.command_options import AsJson
from argusvl.core.errors import INTERRUPTED, ConfigError
from argusvl.core.terminal import FOUND_SOMETHING, console, print_json, say
from argusvl.core.wording import counted
from argusvl.run.layout import LOG_FILE
from argusvl.tasks import load_run_config, task_entry
from argusvl.training.launch import (
    check_processes,
    inside_a_launcher,
    is_first_process,
    launch,
    processes_of_launcher,
)

if TYPE_CHECKING:
    from argusvl.config.schema import RunConfig
    from argusvl.training.run import TrainingResult


def command(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of the run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys to change, e.g. seed=1 output_dir=runs/second."),
    ] = None,
    validate_only: Annotated[
        bool,
        typer.Option(
            "--validate-only",
            help="Check configuration, output folder, data files, records and token budget; load no weights. Exit "
            "code 1 if something is found.",
        ),
    ] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Write the whole configuration to stdout and stop.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the newest complete checkpoint in output_dir."),
    ] = False,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes",
            help="With --resume: go on although data, loss or optimizer are not those of the run so far.",
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="Compute a step that was not finite again, from the folder that a run has kept (non_finite/step-N). "
            "Exit code 1 if it comes out otherwise.",
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1, help="Processes that train together: one a GPU; without one, as many as cores are faster."
        ),
    ] = 1,
    deepspeed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON file of DeepSpeed's ZeRO; FSDP2 does what it asks for, and each key that it does not need is "
            "named.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train by a configuration file.

    Ctrl-C finishes the current step, saves a checkpoint and stops; --resume goes on from there. Of several processes
    each takes batches of per_device_train_batch_size; `torchrun` may start them as well.

    Examples:

        argus train configs/bbu_room.yaml seed=1

        argus train configs/bbu_room.yaml --validate-only

        argus train configs/bbu_room.yaml --replay runs/bbu_room/non_finite/step-120

        argus train configs/bbu_room.yaml per_device_train_batch_size=4 --processes 2

        argus train configs/qwen25_vl_3b.yaml --processes 8 --deepspeed configs/deepspeed/zero2.json
    """
    from argusvl.config.loading import to_yaml

    if allow_changes and not resume:
        raise ConfigError("--allow-changes is for a run that goes on", remedy="add --resume, or leave it out")
    config = load_run_config(config_file, overrides or ())
    if deepspeed is not None:
        config = _as_deepspeed_asks(deepspeed, config, processes)
    if print_config:
        if as_json:
            print_json(config.model_dump(mode="json"))
        else:
            typer.echo(to_yaml(config), nl=False)
    elif validate_only:
        if processes > 1:
            check_processes(processes, config.infrastructure.device)
        _validate(config, resume, as_json)
    elif replay is not None:
        _replay(config, replay, as_json)
    else:
        again = ["train", str(config_file), *(overrides or ())]
        again += [] if deepspeed is None else ["--deepspeed", str(deepspeed)]
        launched = inside_a_launcher()
        if processes > 1 and not launched:
            options = [*(["--resume"] * resume), *(["--allow-changes"] * allow_changes)]
            _train_together(config, resume, processes, [*again, *options, *(["--json"] * as_json)])
        else:
            together = ["--processes", str(processes)] if processes > 1 else []
            _train(config, resume, allow_changes, as_json, again=["argus", *again, *together])


def _as_deepspeed_asks(file: Path, config: RunConfig, processes: int) -> RunConfig:
    from argusvl.config.deepspeed import carry_out, read_deepspeed

    launched = inside_a_launcher()
    together = processes_of_launcher() if launched else processes
    carried = carry_out(read_deepspeed(file), config, together, file)
    if is_first_process() and not (launched and processes > 1):  # who has started them has said it
        for line in carried.said:
            say(f"{file.name}: {line}")
    return carried.config


def _validate(config: RunConfig, resume: bool, as_json: bool) -> None:
    from argusvl.training.run import check_run

    findings = check_run(task_entry(config.task).task_class()(config), config, resume)
    if as_json:
        print_json({"findings": [one.to_json() for one in findings]})
    print_findings(findings, console())
    say(counted(len(findings), "finding") if findings else "the run can start")
    if findings:
        raise typer.Exit(FOUND_SOMETHING)


def _replay(config: RunConfig, bundle: Path, as_json: bool) -> None:
    from argusvl.training.replay import replay

    found = replay(task_entry(config.task).task_class()(config), config, bundle)
    if as_json:
        print_json(asdict(found))
    for sums, samples in zip(found.term_sums, found.samples, strict=True):
        say(f"{', '.join(samples)}: " + ", ".join(f"{name} {value}" for name, value in sums.items()))
    say(f"first module whose output is not finite: {found.module or 'none'}")
    say(f"first parameter whose gradient is not finite: {found.parameter or 'none'}")
    for difference in found.differences:
        say(difference)
    say("not as it was" if found.differences else f"step {found.step} was reproduced, bit for bit")
    if found.differences:
        raise typer.Exit(FOUND_SOMETHING)


def _train_together(config: RunConfig, resume: bool, processes: int, arguments: list[str]) -> None:
    from argusvl.training.run import opened_run

    # So that a mistake is said once, not by each of them.
    with opened_run(config.training.output_dir, resume):
        pass
    words = [*arguments, "--processes", str(processes), *current_session().words()]
    code = launch(words, processes, config.infrastructure.device)
    if code:
        raise typer.Exit(code)


def _train(config: RunConfig, resume: bool, allow_changes: bool, as_json: bool, again: list[str]) -> None:
    from argusvl.training.run import opened_run, run_training

    output_dir = config.training.output_dir
    # Before the log is opened: a run that may not start leaves no trace in the folder of another.
    with opened_run(output_dir, resume):
        start_run_log(config.infrastructure.log_level, output_dir / LOG_FILE)
        task = task_entry(config.task).task_class()(config)
        result = run_training(task, config, resume, allow_changes=allow_changes)
    if is_first_process():
        if as_json:
            print_json(result.as_dict())
        _summarise(result)
    if result.interrupted:
        if is_first_process():
            say(f"stopped after step {result.steps}. To go on: {shlex.join([*again, '--resume'])}")
        raise typer.Exit(INTERRUPTED)


def _summarise(result: TrainingResult) -> None:
    say(
        f"{result.steps} steps, {result.epochs:.2f} epochs; {result.train_seconds:.0f} s of training in this call, "
        f"{result.samples_per_second:.1f} samples/s"
    )
    # Figures of single classes have a slash in their names; --json and the logs have them all.
    figures = [f"{k} {v:.4g}" for k, v in result.evaluation.items() if k != "seconds" and "/" not in k]
    if figures:
        say(f"last evaluation: {', '.join(figures)}")
    if result.last_checkpoint is not None:
        say(f"newest checkpoint: {result.last_checkpoint}")
    if result.best_checkpoint is not None:
        say(f"best checkpoint: {result.best_checkpoint} ({result.best_metric:.4g})")
