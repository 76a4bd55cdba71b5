# The backend in one image: the web process by default, the worker with `worker` as its command.
#
#   docker build -t maskloop .
#   docker build -t maskloop --build-arg TORCH=cuda .           CUDA; run it with --gpus all
#   docker build -t maskloop --build-arg WEIGHTS=mobilesam .    weights inside, for closed networks
FROM python:3.11-slim AS build

# cpu, from PyTorch's own index, or cuda, which is what the plain index has for Linux.
ARG TORCH=cpu
# Another index than the usual one, where there is one.
ARG PIP_INDEX_URL

WORKDIR /build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt .
RUN version="$(sed -n 's/^torch==//p' requirements.txt)" \
    && if [ "${TORCH}" = cuda ]; then set -- "torch==${version},!=${version}+cpu"; \
       else set -- "torch==${version}+cpu" --extra-index-url https://download.pytorch.org/whl/cpu; fi \
    && pip install --constraint requirements.txt "$@" \
    && pip install --no-deps --requirement requirements.txt


FROM python:3.11-slim

# opencv-python is built against the desktop's libraries. Debian's archive keeps one version of
# each package at a time, so a pinned one could not be installed after the next update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home maskloop \
    && install --directory --owner=maskloop --group=maskloop /data

COPY --from=build /venv /venv
WORKDIR /app
COPY . .

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MASKLOOP_DATA_DIR=/data \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 10001

# Models whose weights go into the image. Others come at the first start, into the volume.
ARG WEIGHTS=""
RUN for model in ${WEIGHTS}; do python -m backend weights pull "${model}" || exit 1; done

VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/healthz', timeout=2)"]

ENTRYPOINT ["python", "-m", "backend"]
CMD ["serve", "--host", "0.0.0.0", "--pull"]
