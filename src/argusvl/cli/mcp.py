"""`argus mcp`: tools for agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.core.extras import import_extra


def command(
    folder: Annotated[
        list[Path], typer.Option(metavar="DIR", help="A folder that agents may read; repeat it for several.")
    ],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="A checkpoint or run that they may use beside what ships."),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]STORE", help="A support store that they may ask for classes."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="The longest that a call may take, seconds.")] = 120.0,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Serve HTTP on this machine at that port, not standard input; whoever has an account on the machine "
            "can then ask.",
        ),
    ] = None,
) -> None:
    """Let agents use Argus, by the Model Context Protocol over standard input and output.

    Agents find and describe objects, find hands, recognise, check data and scripts, and ask why a log ended. They read
    what is in the folders and nothing else; nothing is written.

    Examples:

        argus mcp --folder photos/ --folder runs/

        argus mcp --folder . --checkpoint cells=runs/cells --store support/
    """
    import_extra("mcp")

    from argusvl.serving.agents.server import serve_http, serve_stdio
    from argusvl.serving.agents.workplace import LocalWorkplace, Settings, named

    settings = Settings(
        [place.absolute() for place in folder],
        named(checkpoint or [], "--checkpoint"),
        named(store or [], "--store"),
    )
    LocalWorkplace(settings)  # what is missing is said now, and not to an agent
    if port is None:
        serve_stdio(settings, seconds)
    else:
        serve_http(settings, seconds, port)
