"""``argus env``: what this machine and this installation are, for a glance and for bug reports."""

from __future__ import annotations

from argusvl.command_options import AsJson
from argusvl.core.terminal import answer_console, print_json


def command(as_json: AsJson = False) -> None:
    """Show versions, devices, cores and memory, and what it computes in, which is measured.

    Examples:

        argus env

        argus env --json
    """
    from rich.table import Table

    from argusvl.core.devices import usable_device
    from argusvl.core.environment import environment
    from argusvl.core.precision import decide

    found = environment() | decide("auto", usable_device("auto")).facts()
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for name, value in found.items():
        if isinstance(value, dict):
            for key, item in value.items():
                table.add_row(key, str(item or "not installed"))
        else:
            table.add_row(name, "; ".join(map(str, value)) if isinstance(value, list) else str(value))
    answer_console().print(table)
