"""`doctor`: what a working installation needs, step by step, and how to mend what fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import MaskloopError

if TYPE_CHECKING:
    from backend.settings import Settings

ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `text` says what was found, or what to do where it is not `ok`."""

    name: str
    ok: bool
    text: str


Step = Callable[["Settings"], str]
"""Says what it found. Raises Failed or MaskloopError with a sentence that says how to mend it."""


class Failed(Exception):
    """A step found something that keeps the backend from working; the text says how to mend it."""


def doctor(
    host: Annotated[str, typer.Option(help="Where `serve` shall listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="On which port.")] = 9090,
) -> None:
    """Check everything that clicks depend on, and say which step fails and how to mend it."""
    healthy = True
    for finding in examine(host, port):
        healthy &= finding.ok
        mark = typer.style("ok   ", "green") if finding.ok else typer.style("fails", "red")
        typer.echo(f"{mark}  {finding.name:<13} {finding.text}")
    if not healthy:
        raise typer.Exit(1)


def examine(host: str, port: int) -> Iterator[Finding]:
    """All findings, each as soon as it is made."""
    from backend.settings import load

    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    modern = sys.version_info >= (3, 11)
    yield Finding("Python", modern, version if modern else f"{version}; install 3.11 or newer")
    try:
        settings = load()
    except MaskloopError as error:
        yield Finding("settings", False, error.message)
        return
    yield Finding("settings", True, "all names and values are known")
    for name, step in steps(settings, host, port):
        yield _finding(name, step, settings)


def steps(settings: Settings, host: str, port: int) -> Iterator[tuple[str, Step]]:
    """The steps that these settings call for, in the order in which things depend on each other."""
    yield "torch", _torch
    yield "OpenCV", _opencv
    yield "data", _data_directory
    yield "database", _database
    for model in settings.offered_models:
        yield "weights", lambda settings, model=model: _weights(settings, model)  # type: ignore[misc]
    if settings.redis_url:
        yield "Redis", _redis
        yield "worker", _worker
    yield "port", lambda settings: _port(settings, host, port)
    if settings.label_studio_url:
        yield "Label Studio", _label_studio
        yield "its projects", _projects


def _finding(name: str, step: Step, settings: Settings) -> Finding:
    try:
        return Finding(name, True, step(settings))
    except (Failed, MaskloopError) as error:
        return Finding(name, False, str(error))
    except Exception as error:  # a check must not end the examination, whatever it meets
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _torch(settings: Settings) -> str:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Failed(f"torch cannot be imported ({error}); type: make install") from None
    from backend.engine.segmenters import choose_device

    device = choose_device(settings.device)
    what = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return f"{torch.__version__} on {what}, {torch.get_num_threads()} threads"


def _opencv(settings: Settings) -> str:
    try:
        import cv2
    except ImportError as error:
        raise Failed(
            f"OpenCV cannot be imported ({error}); on Debian and Ubuntu type: "
            "apt-get install libgl1 libglib2.0-0"
        ) from None
    return str(cv2.__version__)


def _data_directory(settings: Settings) -> str:
    import shutil
    import tempfile

    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data_dir) as file:
            file.write(b"maskloop")
    except OSError as error:
        raise Failed(
            f"{settings.data_dir} cannot be written ({error.strerror}); give this user the right, "
            "or set MASKLOOP_DATA_DIR to another directory"
        ) from None
    free = shutil.disk_usage(settings.data_dir).free / 2**30
    return f"{settings.data_dir} can be written, {free:.1f} GiB free"


def _database(settings: Settings) -> str:
    from backend.store import Database

    database = Database(settings.database)
    try:
        database.upgrade()
    except Exception as error:
        raise Failed(
            f"the database does not open ({error}); correct MASKLOOP_DATABASE_URL"
        ) from None
    finally:
        database.close()
    return "opens, with the current tables"


def _weights(settings: Settings, model: str) -> str:
    from backend import weights

    found = weights.installed(settings, model)
    for verification in weights.verify(settings):
        if verification.model == found.model and verification.problem:
            raise Failed(verification.problem)
    return f"{found.version}, checksum right"


def _redis(settings: Settings) -> str:
    from backend.redis_connection import answering, connect, shown

    place = shown(str(settings.redis_url))
    client = connect(str(settings.redis_url))
    with answering(place):
        version = client.info("server")["redis_version"]
    client.close()
    return f"{place} answers, version {version}"


def _worker(settings: Settings) -> str:
    from backend.service import build

    service = build(settings)
    try:
        state = service.ready()
    finally:
        service.close()
    if not state.ready:
        raise Failed("; ".join(state.problems))
    return "alive, with the models loaded"


def _port(settings: Settings, host: str, port: int) -> str:
    from backend.cli.http_server import is_free

    if is_free(host, port):
        return f"{host}:{port} is free"
    if _is_maskloop(host, port):
        return f"{host}:{port} is served by Maskloop already"
    raise Failed(f"port {port} is taken; stop what listens there, or serve with --port")


def _is_maskloop(host: str, port: int) -> bool:
    import requests

    try:
        answer = requests.get(f"http://{host}:{port}/", timeout=ANSWER_SECONDS)
        return bool(answer.json()["name"] == "maskloop")
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return False


def _label_studio(settings: Settings) -> str:
    from backend.cli.label_studio_check import reachable

    return reachable(settings)


def _projects(settings: Settings) -> str:
    from backend.cli.label_studio_check import projects

    if settings.label_studio_api_key is None:
        raise Failed("LABEL_STUDIO_API_KEY is not set; set it to a personal access token")
    found = projects(settings)
    faults = [f"{title!r}: {problem}" for title, problems in found for problem in problems]
    if faults:
        raise Failed("; ".join(faults))
    return f"token accepted; all {len(found)} projects can prompt and show masks"
