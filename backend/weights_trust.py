"""Checksums of published weights: the authors', or else those of the first copy that came here.

Where the authors publish none, the first copy is trusted and its sha256 kept in a small file of
the store, `<architecture>@<name>.sha256`, in the form of the program sha256sum. A later copy with
another one is refused until a person deletes what is kept of the first.
"""

from __future__ import annotations

from pathlib import Path

from backend.errors import InvalidRequest
from models.zoo import WeightsFile


def check(folder: Path, model: str, file: WeightsFile, digest: str | None) -> str | None:
    """Compare the sha256 of a copy of `file` with what is known; a remark for people, or None.

    `model` is `architecture@weights`, `folder` the store; a `digest` of None belongs to weights
    that never were an author's file. Raises InvalidRequest where it differs.
    """
    if file.sha256 is not None:
        if digest != file.sha256:
            its = f"its sha256 is {digest[:12]}…" if digest else "it is no author's file"
            raise InvalidRequest(
                f"this is not the published {model}: {its}, and the published sha256 is"
                f" {file.sha256[:12]}…; choose another name with --name",
                field="file",
            )
        return None
    if digest is None:
        return None
    kept = folder / f"{model}.sha256"
    first = known(folder, model)
    if first is None:
        title = file.file_name or model
        kept.write_text(f"{digest}  {title}\n")
        return _first_use(title, file, digest)
    if digest != first:
        raise InvalidRequest(
            f"this copy of {model} is not the one that came first: its sha256 is {digest[:12]}…"
            f" and was {first[:12]}…; the authors publish none, so nothing tells which one is"
            f" right. Delete {folder / model}.* to trust this one, or choose another name with"
            " --name",
            field="file",
        )
    return None


def known(folder: Path, model: str) -> str | None:
    """The sha256 of the first copy; None where there was none, or what was kept is no sha256."""
    try:
        digest = (folder / f"{model}.sha256").read_text().split()[0]
        return digest if len(bytes.fromhex(digest)) == 32 else None
    except (OSError, ValueError, IndexError):
        return None


def _first_use(title: str, file: WeightsFile, digest: str) -> str:
    remark = f"the authors publish no checksum of {title}; this copy's is kept: sha256 {digest}"
    if file.unverified_sha256 == digest:
        return f"{remark}, which is also what a third party says"
    if file.unverified_sha256 is not None:
        return f"{remark}. A third party says {file.unverified_sha256}, so be careful"
    return remark
