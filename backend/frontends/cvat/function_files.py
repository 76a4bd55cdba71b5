"""The files from which nuclio makes a function of a model: `function.yaml`, `function-gpu.yaml`.

One directory a model, named like the function, as CVAT's own deployment looks for them. The files
at the top of the repository are those of the default model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from string import Template
from textwrap import wrap

from backend.frontends.cvat import functions
from models import zoo

FILE_NAMES = {False: "function.yaml", True: "function-gpu.yaml"}
"""By whether the function runs on a GPU."""


@dataclass(frozen=True)
class FunctionFile:
    """One function of nuclio.

    `model` is what is served, `prompts` what it answers; `weights` is the command behind
    `python -m backend weights` that brings the weights while the image is built, and `bring` what
    a person has to do before, if anything. `settings` go into the function's environment.
    """

    model: str
    prompts: tuple[str, ...]
    weights: str
    bring: str | None = None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> str:
        """The name of the directory that the file belongs into."""
        return functions.function_id(self.model)


def of_model(model: str, settings: tuple[tuple[str, str], ...] = ()) -> FunctionFile:
    """The function that serves `model`. Raises models.zoo.UnknownModel.

    Weights that cannot be fetched without a person are expected beside the code: under the
    authors' name for them, or the model's, which is that of the file in the weights store.
    """
    entry, name = zoo.segmenting(model)
    file = next((file for file in entry.weights if name in (None, file.name)), None)
    if file is not None and file.shipped:
        return FunctionFile(model, entry.prompts, "verify", None, settings)
    if file is not None and (file.url or file.package):
        return FunctionFile(model, entry.prompts, f"pull {model}", None, settings)
    whole = f"{entry.name}@{name or entry.weights_file().name}"
    if file is None:
        found = f"{whole}.safetensors"
        bring = f"Copy {found} from the data directory's weights into DIR first."
    else:
        found = file.file_name or f"{whole}.pth"
        bring = f"Download the weights from {file.page} to DIR/{found} first."
    command = f"add {found} --name {whole.partition('@')[2]}"
    return FunctionFile(model, entry.prompts, command, bring, settings)


def text(function: FunctionFile, *, gpu: bool) -> str:
    """The file's contents, for a GPU or for the CPU."""
    name = functions.function_id(function.model)
    torch = metadata.version("torch").partition("+")[0]
    return _TEMPLATE.substitute(
        where="on a GPU" if gpu else "on the CPU",
        bring=_comment(function.bring),
        name=name,
        annotations=_annotations(functions.annotations_of(function.model, function.prompts)),
        description=functions.description(function.model, function.prompts),
        model=function.model,
        device="cuda" if gpu else "cpu",
        settings="".join(map(_setting, function.settings)),
        image=f"cvat.maskloop.{name.removeprefix(functions.PREFIX)}" + ":latest-gpu" * gpu,
        nvidia=_NVIDIA if gpu else "",
        torch=f"torch=={torch},!={torch}+cpu" if gpu else f"torch=={torch}",
        index="" if gpu else _CPU_WHEELS,
        weights=function.weights,
        resources=_GPU if gpu else "",
    )


def _comment(sentence: str | None) -> str:
    """A sentence as lines of a comment, an address never broken."""
    if sentence is None:
        return ""
    lines = wrap(sentence, 76, break_long_words=False, break_on_hyphens=False)
    return "#\n" + "".join(f"# {line}\n" for line in lines)


def _annotations(annotations: dict[str, str]) -> str:
    """The annotations as YAML; what CVAT reads as a number or a truth is text in nuclio."""
    lines = []
    for key, value in annotations.items():
        if key == "startswith_box_optional":
            lines.append(
                '# No startswith_box: CVAT would take any text there for true, "false" too.'
            )
        if key == "help_message":
            lines += [f"{key}: >-", *(f"  {sentence}" for sentence in _sentences(value))]
        elif key in ("type", "name"):
            lines.append(f"{key}: {value}")
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(f"    {line}" for line in lines)


def _sentences(text: str) -> list[str]:
    first, dot, rest = text.partition(". ")
    return [first + dot.rstrip(), rest] if dot else [first]


def _setting(setting: tuple[str, str]) -> str:
    name, value = setting
    return f"\n    - name: {name}\n      value: {json.dumps(value)}"


_NVIDIA = """
        - kind: ENV
          value: NVIDIA_VISIBLE_DEVICES=all
        - kind: ENV
          value: NVIDIA_DRIVER_CAPABILITIES=compute,utility"""

_CPU_WHEELS = """
            --extra-index-url https://download.pytorch.org/whl/cpu"""

_GPU = """
  resources:
    limits:
      nvidia.com/gpu: 1
"""

_TEMPLATE = Template("""\
---
# An interactor of CVAT, run by nuclio $where; docs/cvat.md says more.
#
#   nuctl deploy --project-name cvat --path DIR --file THIS_FILE \\
#     --platform local \\
#     --platform-config '{"attributes": {"network": "cvat_cvat"}}'
#
# DIR is an export of this repository (git archive), since all of it is copied.
${bring}metadata:
  name: $name
  namespace: cvat
  annotations:
$annotations

spec:
  description: >-
    $description
  runtime: "python:3.11"
  handler: backend.frontends.cvat.nuclio:handler
  # More than the deadline of 25 s, so that a slow call gets its own answer.
  eventTimeout: 30s
  # nuclio waits this long for the model to be loaded.
  readinessTimeoutSeconds: 180
  env:
    - name: MASKLOOP_MODEL
      value: $model
    - name: MASKLOOP_DEVICE
      value: $device$settings

  build:
    image: $image
    # Its Python must be that of `runtime`, whose wheels nuclio installs.
    baseImage: python:3.11-slim-bookworm
    directives:
      preCopy:
        - kind: ENV
          value: DEBIAN_FRONTEND=noninteractive
        - kind: ENV
          value: MASKLOOP_DATA_DIR=/opt/maskloop$nvidia
        - kind: WORKDIR
          value: /opt/nuclio
        - kind: RUN
          value: >-
            apt-get update
            && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0
            && rm -rf /var/lib/apt/lists/*
        # Before the code is copied: a change there does not fetch it again.
        - kind: RUN
          value: >-
            pip install --no-cache-dir "$torch"$index
      postCopy:
        # nuclio brings the nuclio-sdk that belongs to its own version.
        - kind: RUN
          value: >-
            grep -v '^nuclio-sdk==' requirements.txt > /tmp/requirements.txt
            && pip install --no-cache-dir --no-deps -r /tmp/requirements.txt
        # From here on the function needs no network.
        - kind: RUN
          value: python -m backend weights $weights

  triggers:
    myHttpTrigger:
      kind: http
      # One process, so one copy of the model; older nuclio says maxWorkers.
      numWorkers: 1
      maxWorkers: 1
      # How long a click waits for others to be answered; CVAT waits 120 s.
      workerAvailabilityTimeoutMilliseconds: 60000
      attributes:
        # 96 MiB: a lossless 4K video frame in base64 is over the usual 32.
        maxRequestBodySize: 100663296

  platform:
    attributes:
      restartPolicy:
        name: always
        maximumRetryCount: 3
      mountMode: volume
${resources}""")
