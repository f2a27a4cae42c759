"""Weights in parts: where FSDP2 shards a model, each process holds a part of each tensor (a ``DTensor``).

Forward and backward passes are FSDP's own affair. What is here is for the code around them, which would otherwise
compute with a part as if it were the whole, or talk to other processes once for each tensor.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from transformers import TrainingArguments

from argusvl.core.errors import CheckpointError
from argusvl.core.precision import compute_in
from argusvl.training.parameter_groups import verify_optimizer

if TYPE_CHECKING:
    from argusvl.training.state import TrainState


def is_sharded(network: nn.Module) -> bool:
    """Whether a model's weights are in parts."""
    return isinstance(network, FSDPModule)


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds, in the same memory; the tensor itself where it is whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. Of one that is in parts a copy, for which all processes must call."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def as_held(value: Tensor, like: Tensor) -> Tensor:
    """A value that every process has, in parts where another tensor is; nothing is communicated."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value
    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


def add_squares(norms: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """Norms of the parts held here → norms of the tensors: one sum over processes for all of them.

    Args:
        norms: ``[len(tensors)]``.
        tensors: What they are the norms of.
    """
    mesh = next((tensor.device_mesh for tensor in tensors if isinstance(tensor, DTensor)), None)
    if mesh is None:
        return norms
    in_parts = torch.tensor([isinstance(tensor, DTensor) for tensor in tensors], device=norms.device)
    squares = norms.double().square()  # in float32 they would overflow long before the norms do
    torch.distributed.all_reduce(squares, group=mesh.get_group())
    return torch.where(in_parts, squares.sqrt().float(), norms)


def prepare(accelerator: Accelerator, arguments: TrainingArguments, network: nn.Module) -> bool:
    """What must be done while the model is still whole; whether FSDP is to be used where accelerate would not."""
    state, options = accelerator.state, arguments.fsdp_plugin_args
    if options is None:
        return False
    for tensor in network.parameters():
        # FSDP2 divides rows, and refuses weights of convolutions that lie channels last.
        tensor.data = tensor.data.contiguous()
    # Accelerate takes up FSDP on accelerators only, and trains by DDP on CPUs without a word (1.15); yet all that it
    # then does for FSDP2 works over gloo as well.
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**options)
        state.distributed_type = DistributedType.FSDP
        return True
    return False


def follow(state: TrainState) -> None:
    """Lets the engine see the parameters that FSDP has put in the place of the model's own.

    Raises:
        ConfigError: The optimizer no longer holds them as the groups say.
    """
    network = state.network
    if not is_sharded(network):
        assert state.arguments.fsdp_plugin_args is None, "trained otherwise than asked for"
        return
    own = dict(network.named_parameters(remove_duplicate=False))
    for parameters in (state.trainable, *(group.parameters for group in state.groups)):
        assert isinstance(parameters, dict)
        parameters.update((name, own[name]) for name in parameters)
    assert state.optimizer is not None
    verify_optimizer(state.optimizer, state.groups)
    if state.ema is not None:
        state.ema.follow(state.trainable)
    # Accelerate would hand bfloat16 in and out, boxes and sums of losses included; autocast is what DDP has, too.
    compute_in(state.precision, network)


def whole_state(network: nn.Module, keep: bool) -> dict[str, Tensor]:
    """A model's whole weights on the CPU, gathered one after the other by all processes together.

    Nothing is returned where they are not to be kept.
    """
    # Of a tied weight all names get one tensor, by which writers know that it is tied.
    names: dict[int, str] = {}
    first = {n: names.setdefault(id(p), n) for n, p in network.named_parameters(remove_duplicate=False)}
    state = network.state_dict()
    gathered = ((name, whole(state[name])) for name in state if first.get(name, name) == name)
    kept = {name: tensor.cpu() for name, tensor in gathered if keep}
    return {name: kept[first.get(name, name)] for name in state} if keep else {}


@contextlib.contextmanager
def unsharded(network: nn.Module) -> Iterator[None]:
    """In its body every process has the whole weights, and none waits for another.

    Evaluations need that: each process has pictures of its own, in batches of its own number.
    """
    modules = [module for module in network.modules() if isinstance(module, FSDPModule)]
    before: dict[Any, Any] = {}
    automatic: dict[Any, bool] = {}
    for module in modules:
        state: Any = module._get_fsdp_state()
        # What was set cannot be asked for otherwise; torch before 2.13 had one group.
        several = hasattr(state, "_fsdp_param_groups")
        groups = state._fsdp_param_groups if several else [state._fsdp_param_group]
        automatic[state] = state._auto_reshard_after_forward
        before.update((group, group.post_forward_mesh_info) for group in groups if group is not None)
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for group, mesh_info in before.items():
            group.post_forward_mesh_info = mesh_info
        for state, was in automatic.items():
            state._auto_reshard_after_forward = was
            # torch 2.11 would wait for the output layer, which no evaluation by the head runs, for ever.
            state._modules_to_run_forward.clear()
        for module in modules:
            module.reshard()


# ---- in files --------------------------------------------------------------------------------------------------------


def save_shards(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Writes tensors of which each process has a part, by all processes together.

    Raises:
        CheckpointError: It failed, on whichever of them.
    """
    try:
        dcp.save(dict(tensors), checkpoint_id=folder)
    except CheckpointException as error:
        rank, (first, _) = next(iter(error.failures.items()))
        raise CheckpointError(
            f"the checkpoint was not written: process {rank}: {first}",
            where=folder,
            remedy="every process must reach output_dir: on several machines it lies on a shared file system; look "
            "for space on it, then continue with --resume",
        ) from error


def load_shards(
    folder: Path, optimizer: Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Reads what :func:`save_shards` wrote of a snapshot, in the parts of this run: of as many processes, or another
    number, or of one. How they are shared out the optimizer's parameters say, and those by name.

    Returns:
        Kind of tensor → its name → tensor.

    Raises:
        CheckpointError: They are damaged, or not of this model.
    """
    numbered = itertools.chain.from_iterable(entry["params"] for entry in optimizer.param_groups)
    of_optimizer = {str(number): parameter for number, parameter in enumerate(numbered)}
    try:
        metadata: Any = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
        tensors = {}
        for key, saved in metadata.items():
            kind, _, name = key.partition("/")
            like = (of_optimizer if kind == "optimizer" else parameters)[name.partition("/")[0]]
            if like.shape != saved.size:
                raise KeyError(f"{name} has shape {tuple(saved.size)}, expected {tuple(like.shape)}")
            tensors[key] = torch.empty_like(like.detach(), dtype=saved.properties.dtype)
        with warnings.catch_warnings():
            # As it should be in one process.
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            dcp.load(tensors, checkpoint_id=folder)
    except (CheckpointException, KeyError, OSError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"its parts cannot be put together ({type(error).__name__}: {error})",
            where=folder,
            remedy="resume with the model and groups of the run that wrote it; if they are the same, copy it again",
        ) from error
    sorted_by_kind: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        sorted_by_kind.setdefault(kind, {})[name] = tensor
    return sorted_by_kind


def optimizer_state_as_held(optimizer: Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's saved state, its whole tensors in parts where the parameters are."""
    parameters = itertools.chain.from_iterable(entry["params"] for entry in optimizer.param_groups)
    held = dict(state["state"])
    for number, parameter in enumerate(parameters):
        for key, value in held.get(number, {}).items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and key != "step":
                held[number] = {**held[number], key: as_held(value, parameter)}
    return {**state, "state": held}
