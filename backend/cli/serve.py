"""`serve`: the web process, with the models in it or before a queue."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import InvalidSettings, MaskloopError
from backend.settings import Settings

if TYPE_CHECKING:
    import flask


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 9090,
    workers: Annotated[
        int, typer.Option(min=1, help="Web processes; more than one needs REDIS_URL.")
    ] = 1,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Answer other machines without an API key.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="First fetch weights that are missing.")
    ] = False,
) -> None:
    """Serve CVAT, Label Studio and REST until interrupted."""
    from backend import logs
    from backend.cli.http_server import SPARE_THREADS, Server
    from backend.settings import load

    settings = load()
    if no_auth:
        settings = settings.model_copy(update={"no_auth": True})
    refuse(settings, host, port, workers)
    logs.configure(settings.log_level)
    if pull:
        _pull(settings)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def ready() -> None:
        typer.echo(f"Maskloop listens on http://{address} (stop with Ctrl+C)", err=True)

    Server(
        lambda: _application(settings),
        address,
        workers=workers,
        threads=settings.max_waiting + SPARE_THREADS,
        ready=ready,
    ).run()


def _application(settings: Settings) -> flask.Flask:
    """The application, in a process of the server's; the whole server ends where there is none."""
    from backend.app import create_app
    from backend.cli.http_server import APP_LOAD_ERROR

    try:
        return create_app(settings)
    except MaskloopError as error:
        typer.echo(error.message, err=True)
        sys.exit(APP_LOAD_ERROR)


def _pull(settings: Settings) -> None:
    """Fetch what is missing; without it the server still starts, and says what is missing."""
    from backend import weights

    for model in settings.offered_models:
        try:
            found = weights.pull(settings, model)
        except (MaskloopError, OSError) as error:
            typer.echo(str(error), err=True)
        else:
            typer.echo(f"{found.model} is installed: version {found.version}", err=True)


def refuse(settings: Settings, host: str, port: int, workers: int) -> None:
    """Raise InvalidSettings where serving so would be unsafe, wrong or impossible."""
    from backend.cli.http_server import is_free
    from backend.frontends.access import is_loopback

    if workers > 1 and not settings.redis_url:
        raise InvalidSettings(
            f"--workers {workers} needs a queue that all of them share; set REDIS_URL and start "
            "`python -m backend worker` beside them, or serve from one process"
        )
    if not is_loopback(host) and settings.api_key is None and not settings.no_auth:
        raise InvalidSettings(
            f"--host {host} lets other machines in; set MASKLOOP_API_KEY to a secret that they "
            "must show, or add --no-auth to answer everybody"
        )
    try:
        free = is_free(host, port)
    except OSError as error:
        raise InvalidSettings(
            f"--host {host} is no address of this machine ({error.strerror or error}); use "
            "127.0.0.1, or 0.0.0.0 for all of its addresses"
        ) from None
    if not free:
        raise InvalidSettings(
            f"port {port} is taken or needs more rights; stop what listens there, or choose "
            "another with --port"
        )
