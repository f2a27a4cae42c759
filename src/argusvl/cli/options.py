"""Arguments and options that several verbs have, and their exit code; tasks' own commands have them, too."""

from argusvl.core.options import AsJson, Checkpoint, Device, Root, Threads
from argusvl.core.terminal import FOUND_SOMETHING

__all__ = ["FOUND_SOMETHING", "AsJson", "Checkpoint", "Device", "Root", "Threads"]
