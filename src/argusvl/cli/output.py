"""Where verbs write; tasks' own commands write there, too, hence it is in ``core``."""

from argusvl.core.terminal import console, print_json, say

__all__ = ["console", "print_json", "say"]
