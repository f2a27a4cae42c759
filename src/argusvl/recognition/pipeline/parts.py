"""What a model consists of: found by following references, for any kind of object.

A backbone is not an ``nn.Module`` but holds one, perhaps in a closure or a list; so its modules and tensors are looked
for through everything that it refers to, except code and classes, by which one would come to the whole interpreter.
"""

from __future__ import annotations

import gc
import types

from torch import Tensor, nn

_NOT_FOLLOWED = (type, types.ModuleType, types.CodeType, types.FrameType, types.BuiltinFunctionType)


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
        # Its class alone: some libraries' objects act on any access to an attribute.
        if issubclass(type(value), nn.Module | Tensor):
            found.append(value)  # type: ignore[arg-type]
        if isinstance(value, types.FunctionType):  # its references lead to the globals of its module
            waiting += [value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__]
        else:
            waiting += gc.get_referents(value)
    return found
