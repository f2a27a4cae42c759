"""The logs that `argus doctor log` is measured on: short bodies, each in what a real run would have put around it.

A bundle's entry is ``#### CAUSE NAME`` and, after it, words that say what comes around its lines:

    before=STYLE   how the loop printed its progress        as=STYLE   what a launcher puts before each line
    after=STYLE    what others say once a process has died

``␛`` stands for the escape character, ``␍`` for a carriage return. In a healthy log the body stands as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A log and the cause that it shows."""

    cause: str
    name: str
    text: str


def cases(bundle: Path) -> Iterator[Case]:
    """All logs of a bundle."""
    for part in re.split(r"^#### ", bundle.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        cause, name, *words = head.split()
        around = dict(word.split("=", 1) for word in words)
        lines = [*_before(around.get("before")), *body.rstrip("\n").split("\n")]
        lines = [_AS[around.get("as", "plain")](number, line) for number, line in enumerate(lines)]
        lines += _AFTER[around.get("after", "nothing")]
        yield Case(cause, name, "\n".join(lines).replace("␛", "\x1b").replace("␍", "\r") + "\n")


def _before(style: str | None) -> list[str]:
    if style is None:
        return []
    losses = [3.2 * 0.93**k + 0.3 for k in range(1, 9)]
    return [_BEFORE[style].format(k=k, n=k * 10, e=k * 0.05, x=x) for k, x in enumerate(losses, 1)]


_BEFORE = {
    "hf": "{{'loss': {x:.4f}, 'grad_norm': 1.25, 'learning_rate': 1.9e-05, 'epoch': {e:.2f}}}",
    "megatron": " iteration {n:8d}/  500000 | consumed samples: {n:12d} | elapsed time per iteration (ms): 812.3 | "
    "learning rate: 1.5E-04 | global batch size: 256 | lm loss: {x:.6E} | loss scale: 65536.0 | grad norm: 1.021 | "
    "number of skipped iterations:   0 | number of nan iterations:   0 |",
    "mmdet": "2024-03-02 11:20:{k:02d},123 - mmengine - INFO - Epoch(train)  [1][{n}/742]  lr: 2.0000e-03  eta: 2:15:01  "
    "time: 0.3963  data_time: 0.0101  memory: 4127  grad_norm: 7.2  loss: {x:.4f}  loss_cls: 0.31  loss_bbox: 0.22",
    "d2": "[03/02 11:20:{k:02d} d2.utils.events]:  eta: 4:58:26  iter: {n}  total_loss: {x:.3f}  loss_cls: 1.11  "
    "loss_box_reg: 0.488  time: 0.1999  data_time: 0.0032  lr: 0.006593  max_mem: 2996M",
    "nanogpt": "iter {n}: loss {x:.4f}, time 123.45ms, mfu 31.20%",
    "fairseq": "2024-03-02 11:20:{k:02d} | INFO | train_inner | epoch 001:  {n} / 2233 loss={x:.3f}, nll_loss=2.1, ppl=9.1, "
    "wps=3102, ups=1.1, wpb=2900, bsz=128, num_updates={n}, lr=1.2e-05, gnorm=1.9, loss_scale=128, train_wall=91",
    "lightning": "Epoch 0:  {k}%|▏         | {n}/1000 [00:1{k}<10:10,  9.1it/s, v_num=3, train_loss_step={x:.3f}]",
    "tutorial": "Train Epoch: 1 [{n}/60000 (0%)]\tLoss: {x:.6f}",
    "keras": "{n}/938 [>.............................] - ETA: 4s - loss: {x:.4f} - accuracy: 0.51",
    "jax": "I0302 11:20:{k:02d}.123456 140123 train.py:88] step={n} loss={x:.5f} grad_norm=0.93 lr=0.0003",
    "paddle": "[2024/03/02 11:20:{k:02d}] ppocr INFO: epoch: [3/1200], global_step: {n}, lr: 0.001000, loss: {x:.6f}, "
    "avg_reader_cost: 0.0001 s, ips: 22.1 samples/s, eta: 15:13:26",
    "composer": "[batch={n}/4800]: Train loss/train/total: {x:.4f} Train throughput/batches_per_sec: 0.91",
    "yolo": "      {k}/100      4.1G     {x:.3f}     1.201     0.998        {n}        640: 100%|██████████| 16/16 [00:03<00:00]",
    "rl": "| rollout/ep_rew_mean | {x:.2f} |",
    "json": '{{"step": {n}, "loss": {x:.4f}, "tokens": {n}000}}',
}


def _ranks(number: int, line: str) -> str:
    return f"[rank{2 if line.startswith(('Traceback', '  ', 'RuntimeError')) else number % 4}]: {line}"


_AS: dict[str, Callable[[int, str], str]] = {
    "plain": lambda number, line: line,
    "rank": lambda number, line: f"[rank1]: {line}",
    "ranks": _ranks,
    "default": lambda number, line: f"[default3]:{line}",
    "srun": lambda number, line: f"3: {line}",
    "mpi": lambda number, line: f"[1,2]<stderr>:{line}",
    "cri": lambda number, line: f"2024-03-02T11:21:{number % 60:02d}.123456789Z stderr F {line}",
    "compose": lambda number, line: f"trainer-1  | {line}",
    "pod": lambda number, line: f"[pod/vlm-worker-0/pytorch] {line}",
    "ray": lambda number, line: f"(RayTrainWorker pid=4711, ip=10.0.3.7) {line}",
    "journal": lambda number, line: f"Mar 02 11:21:{number % 60:02d} gpu07 train.sh[4711]: {line}",
    "ci": lambda number, line: f"2024-03-02T11:21:{number % 60:02d}.1234567Z {line}",
    "colour": lambda number, line: f"␛[31m{line}␛[0m",
    "issue": lambda number, line: f"[{18240 + number}] {line}",
}

_AFTER = {
    "nothing": [],
    "torchrun": [
        "W0302 11:31:00.120000 4700 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 4712 closing signal SIGTERM",
        "E0302 11:31:00.450000 4700 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 1 (pid: 4711) of binary: /opt/venv/bin/python",
        "Traceback (most recent call last):",
        '  File "/opt/venv/bin/torchrun", line 8, in <module>',
        "    sys.exit(main())",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "============================================================",
        "pretrain.py FAILED",
        "------------------------------------------------------------",
        "Root Cause (first observed failure):",
        "[0]:",
        "  rank      : 1 (local_rank: 1)",
        "  exitcode  : 1 (pid: 4711)",
        "  error_file: <N/A>",
        "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html",
        "============================================================",
    ],
    "accelerate": [
        "Traceback (most recent call last):",
        '  File "/opt/venv/bin/accelerate", line 8, in <module>',
        "    sys.exit(main())",
        '  File "/opt/venv/lib/python3.10/site-packages/accelerate/commands/launch.py", line 763, in simple_launcher',
        "    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)",
        "subprocess.CalledProcessError: Command '['/opt/venv/bin/python', 'finetune.py']' returned non-zero exit status 1.",
    ],
    "deepspeed": [
        "[2024-03-02 11:31:00,120] [INFO] [launch.py:319:sigkill_handler] Killing subprocess 4711",
        "[2024-03-02 11:31:00,130] [INFO] [launch.py:319:sigkill_handler] Killing subprocess 4712",
        "[2024-03-02 11:31:00,140] [ERROR] [launch.py:325:sigkill_handler] ['/opt/venv/bin/python', '-u', 'train.py', '--local_rank=1'] exits with return code = 1",
    ],
    "nccl": [
        "[rank0]:[E302 11:41:00.408271257 ProcessGroupNCCL.cpp:616] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, NumelIn=466119168, NumelOut=466119168, Timeout(ms)=600000) ran for 600004 milliseconds before timing out.",
        "[rank0]:[E302 11:41:00.465224069 ProcessGroupNCCL.cpp:1785] [PG ID 1 PG GUID 1 Rank 0] Exception (either an error or timeout) detected by watchdog at work: 1580, last enqueued NCCL work: 1582, last completed NCCL work: 1579.",
        "[rank0]:[E302 11:41:01.531176265 ProcessGroupNCCL.cpp:630] [Rank 0] Some NCCL operations have failed or timed out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on corrupted/incomplete data.",
        "[rank0]:[E302 11:41:01.531247012 ProcessGroupNCCL.cpp:636] [Rank 0] To avoid data inconsistency, we are taking the entire process down.",
        "terminate called after throwing an instance of 'c10::DistBackendError'",
        "  what():  [PG ID 1 PG GUID 1 Rank 0] Process group watchdog thread terminated with exception: [Rank 0] Watchdog caught collective operation timeout",
    ],
    "slurm": [
        "srun: error: gpu07: task 1: Exited with exit code 1",
        "slurmstepd: error: *** STEP 481234.0 ON gpu07 CANCELLED AT 2024-03-02T11:31:02 ***",
        "srun: Job step aborted: Waiting up to 32 seconds for job step to finish.",
    ],
    "bar": ["  8%|▊         | 80/1000 [01:12<13:53,  1.10it/s]"],
    "wandb": [
        "wandb: ",
        "wandb: Run history:",
        "wandb:      loss █▇▆▅▄▃▂▁",
        "wandb: ",
        "wandb: You can sync this run to the cloud by running:",
        "wandb: Find logs at: ./wandb/offline-run-20240302_112000-ab12cd34/logs",
    ],
    "wandb-exit": ["wandb: ERROR Problem at: train.py 88 main", "wandb: Find logs at: ./wandb/run/logs"],
    "k8s": ["command terminated with exit code 1"],
    "abort": ["Aborted (core dumped)"],
}
