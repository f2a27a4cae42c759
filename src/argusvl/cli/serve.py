"""`argus serve`: answers over HTTP what checkpoints say of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.assets import MODELS
from argusvl.command_options import Device
from argusvl.core.errors import ConfigError
from argusvl.core.extras import require_extra
from argusvl.core.files import cannot_read, read_text, require_folder
from argusvl.core.terminal import say

_LEAST_TOKEN = 16


def command(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CHECKPOINT…",
            help=f"Checkpoints, runs for their best ones, or what ships: {', '.join(MODELS)}.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Also recognise by a support store of `argus recognize enroll`."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="NAME:FOLDER of the store's backbone, where it is no longer where enroll found it."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and says which.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Holds the token that clients must show, one word; needed beyond loopback."
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name in Host that is answered, as behind a proxy."),
    ] = None,
    label_studio_files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder in which tasks of Label Studio may name pictures."),
    ] = None,
    device: Device = "auto",
    max_bytes: Annotated[int, typer.Option(min=1024, help="Of a request's body.")] = 16 << 20,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Of a picture, in millions, by its header.")
    ] = 64.0,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="From a whole request to its answer.")] = 30.0,
    max_body_seconds: Annotated[
        float, typer.Option(min=0.1, help="For a request's head, and again for its body, to arrive.")
    ] = 20.0,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Read or answered at once; one more gets 503.")
    ] = 128,
    max_connections: Annotated[
        int, typer.Option(min=1, help="Open at once; one more gets 503 and is closed.")
    ] = 512,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Pictures that wait for a model; one more gets 503.")
    ] = 64,
    max_batch: Annotated[int, typer.Option(min=1, help="Pictures in a forward pass; 1: one at a time.")] = 8,
    wait_ms: Annotated[
        float, typer.Option(min=0, max=1000, help="How long a batch's first picture waits for others, ms.")
    ] = 5.0,
) -> None:
    """Answer over HTTP: detect, describe, hands, recognize, with a page to try them at /.

    POST a picture to /v1/detect; GET /v1/models says what there is, /openapi.json how it is asked. SIGTERM and Ctrl-C
    let what was taken be answered, then end.

    Examples:

        argus serve argus-tiny argus-hand

        argus serve runs/demo --store support/ --port 9000 --token-file token.txt
    """
    require_extra("serve", "fastapi", "uvicorn", "prometheus_client", "python_multipart")

    from argusvl.serving.hosting import load_model, load_store, require_different_names
    from argusvl.serving.limits import Limits
    from argusvl.serving.server import allowed_hosts, listen, make_server, require_token_beyond_loopback

    if not checkpoints and store is None:
        raise ConfigError(
            "no checkpoint and no store is named", remedy="give one, e.g. argus serve argus-tiny"
        )
    limits = Limits(
        bytes=max_bytes,
        megapixels=max_megapixels,
        seconds=max_seconds,
        body_seconds=max_body_seconds,
        requests=max_requests,
        connections=max_connections,
        queue=max_queue,
        batch=max_batch,
        wait_ms=wait_ms,
    )
    if label_studio_files is not None:
        require_folder(label_studio_files, remedy="name the folder of the pictures", error=ConfigError)
    token = None if token_file is None else _token(token_file)
    require_token_beyond_loopback(host, token)
    with listen(host, port) as bound:
        models = [load_model(checkpoint, device=device) for checkpoint in checkpoints or ()]
        if store is not None:
            models.append(load_store(store, backbone=backbone, device=device))
        require_different_names(models)

        from argusvl.serving.app import make_app

        gate = make_app(
            models,
            limits,
            hosts=allowed_hosts(host, allowed_host or ()),
            token=token,
            is_stopping=lambda: server.should_exit,
            label_studio_files=label_studio_files,
        )
        address, number = bound.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        told = f"answering {', '.join(model.name for model in models)} on http://{shown}:{number}"
        server = make_server(gate, limits, lambda: say(told))
        server.run(sockets=[bound])


def _token(file: Path) -> str:
    try:
        lines = read_text(file, most_bytes=4096).split()
    except OSError as error:
        raise cannot_read(file, error, ConfigError) from None
    except UnicodeDecodeError:
        lines = []
    token = lines[0] if lines else ""
    if len(token) < _LEAST_TOKEN or not token.isascii() or len(lines) != 1:
        raise ConfigError(
            f"the token must be one word of at least {_LEAST_TOKEN} ASCII characters",
            where=file,
            remedy="make one: head -c 24 /dev/urandom | base64 > token.txt",
        )
    return token
