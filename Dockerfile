# docker build -t spikeyolo .                                    for CPUs
# docker build -t spikeyolo --build-arg TORCH_BACKEND=cu128 .    for NVIDIA's GPUs; run it with --gpus all
# docker run --rm -v "$PWD:/data" spikeyolo predict --weights best.safetensors --source image.jpg
FROM python:3.12-slim
ARG TORCH_BACKEND=cpu
ARG EXTRAS=all
# Triton builds the kernels for GPUs, and --compile those for CPUs, with a compiler.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir uv \
    && uv pip install --system --no-cache --torch-backend=${TORCH_BACKEND} "/src[${EXTRAS}]" \
    && useradd --create-home user
USER user
WORKDIR /data
ENTRYPOINT ["spikeyolo"]
