# An image that serves a checkpoint, as a user without rights, with PyTorch for CPUs:
#   docker build -t argus .
# With PyTorch for CUDA, which brings its libraries; the machine needs the driver and NVIDIA's container toolkit:
#   docker build -t argus-cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# The token that clients must show lies in a file:
#   docker run -p 127.0.0.1:8000:8000 -v ./token.txt:/run/secrets/argus-token:ro argus
#   docker run --gpus all -p 127.0.0.1:8000:8000 -v ./token.txt:/run/secrets/argus-token:ro -v ./runs:/data/runs:ro \
#     argus-cuda serve runs/mine --host 0.0.0.0 --token-file /run/secrets/argus-token
# Any other verb stands in the place of serve: docker run argus env

# Debian 12 has Python 3.11, the version that constraints.txt is made for.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# PyTorch of this index is newer, by its local version, than the same one of PyPI.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY constraints.txt ./
# Before the sources: they change more often than PyTorch.
RUN python3 -m venv /opt/argus \
    && /opt/argus/bin/pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY . .
RUN /opt/argus/bin/pip install -c constraints.txt ./packages/argus-doctor '.[serve]' \
    && /opt/argus/bin/pip check

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin argus \
    && install --directory --owner argus --group argus /data
COPY --from=build /opt/argus /opt/argus
ENV PATH=/opt/argus/bin:$PATH
USER 10001
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["argus"]
CMD ["serve", "argus-tiny", "--host", "0.0.0.0", "--token-file", "/run/secrets/argus-token"]
