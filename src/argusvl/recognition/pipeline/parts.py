"""What a model consists of, and who still refers to it: found by following references, for any kind of object.

A backbone is not an ``nn.Module`` but holds one, perhaps in a closure or a list; so its modules and tensors are looked
for through everything that it refers to, except code and classes, by which one would come to the whole interpreter.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

_NOT_FOLLOWED = (type, types.ModuleType, types.CodeType, types.FrameType, types.BuiltinFunctionType)
_NAMED_AT_MOST = 5


def parts_of(root: object) -> list[nn.Module | Tensor]:
    """The modules and tensors that an object holds, itself included, each once.

    Attributes, containers, closures and bound methods are followed; modules of code, classes and global variables of
    functions are not.
    """
    found: list[nn.Module | Tensor] = []
    seen: dict[int, object] = {}  # holds what it has seen, so that no identity is used twice
    waiting: list[object] = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, _NOT_FOLLOWED):
            continue
        seen[id(value)] = value
        if is_part(value):
            found.append(value)  # type: ignore[arg-type]
        if isinstance(value, types.FunctionType):  # its references lead to the globals of its module
            waiting += [value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__]
        else:
            waiting += gc.get_referents(value)
    return found


def is_part(value: object) -> bool:
    """Whether a value is a module or a tensor, by its class alone: some libraries' objects act when they are asked."""
    return issubclass(type(value), nn.Module | Tensor)


def names_of(root: object) -> dict[int, str]:
    """``id`` → dotted name for the modules, parameters and buffers of an object that is a module or holds some."""
    names: dict[int, str] = {}
    for part in parts_of(root):
        if isinstance(part, nn.Module):
            named = [*part.named_modules(), *part.named_parameters(), *part.named_buffers()]
            for name, value in named:
                # The longest name is the one seen from the outermost module.
                if len(name) >= len(names.get(id(value), "")):
                    names[id(value)] = name
    return names


def holders_of(value: object, ignore: Iterable[object] = ()) -> list[str]:
    """Who refers to a value, in words; at most five.

    Args:
        value: What is still referred to.
        ignore: Referring objects that are the caller's own.
    """
    ignored = {id(item) for item in ignore}
    holders = gc.get_referrers(value)
    ignored |= {id(holders), id(sys._getframe())}
    words: dict[str, None] = dict.fromkeys(_running_functions_with(value))
    for holder in holders:
        if id(holder) not in ignored and not isinstance(holder, types.TracebackType):
            words.update(dict.fromkeys(_describe(holder, value, ignored, depth=2)))
        if len(words) >= _NAMED_AT_MOST:
            break
    return list(words)[:_NAMED_AT_MOST]


def _describe(holder: object, value: object, ignored: set[int], depth: int) -> Iterator[str]:
    if isinstance(holder, types.FrameType):
        yield from _local_names(holder, value)
    elif isinstance(holder, types.CellType):
        yield from _one_up(holder, "a closure", ignored, depth)
    elif isinstance(holder, dict):
        keys = [key for key, found in holder.items() if found is value]
        key = repr(keys[0]) if keys else "a key"
        owner = _owner_of(holder)
        if owner is not None:
            yield f"{key} of {owner}"
        else:
            yield from _one_up(holder, f"{key} of a dict", ignored, depth)
    elif isinstance(holder, list | tuple | set | frozenset):
        yield from _one_up(holder, f"a {type(holder).__name__} of {len(holder)}", ignored, depth)
    else:
        yield f"{_attribute(holder, value)} of {_name(holder)}"


def _running_functions_with(value: object) -> Iterator[str]:
    """Local variables of functions that run now, in any thread: the collector does not see most of their frames."""
    for innermost in sys._current_frames().values():
        frame: types.FrameType | None = innermost
        while frame is not None:
            if not str(frame.f_globals.get("__name__")).startswith(__package__):
                yield from _local_names(frame, value)
            frame = frame.f_back


def _local_names(frame: types.FrameType, value: object) -> Iterator[str]:
    names = [repr(name) for name, found in frame.f_locals.items() if found is value]
    if names:
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        yield f"{', '.join(names)} in {frame.f_code.co_qualname}() ({place})"


def _one_up(holder: object, words: str, ignored: set[int], depth: int) -> Iterator[str]:
    """Says also who has the container, since a container alone tells nobody where to look."""
    above: list[str] = []
    if depth > 0:
        owners = gc.get_referrers(holder)
        ignored = ignored | {id(owners)}
        for owner in owners:
            ours = id(owner) in ignored or isinstance(owner, types.GeneratorType)
            if not ours and not (isinstance(owner, types.FrameType) and owner.f_globals is globals()):
                above += _describe(owner, holder, ignored, depth - 1)
    yield from (f"{words}: {text}" for text in above[:2]) if above else [words]


def _owner_of(attributes: dict[Any, Any]) -> str | None:
    """The object or the module whose ``__dict__`` this is."""
    for owner in gc.get_referrers(attributes):
        if not isinstance(owner, type) and getattr(owner, "__dict__", None) is attributes:
            return _name(owner)
    return None


def _attribute(holder: object, value: object) -> str:
    if isinstance(holder, types.FunctionType | types.MethodType):
        return "a value"
    names = [name for name, found in getattr(holder, "__dict__", {}).items() if found is value]
    return repr(names[0]) if names else "a value"


def _name(holder: object) -> str:
    if isinstance(holder, types.ModuleType):
        return f"module {holder.__name__}"
    if isinstance(holder, types.FunctionType | types.MethodType):
        return f"function {holder.__qualname__}"
    return f"{type(holder).__module__}.{type(holder).__qualname__} object"
