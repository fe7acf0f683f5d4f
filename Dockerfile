#   docker build --target gateway -t terrarium-gateway .     # no torch: gateway, dispatcher, migrate
#   docker build --target gpu -t terrarium-gpu .             # worker and player, with CUDA from torch's wheel
#   docker build --target gpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t terrarium-cpu .
#
# Both run as uid 10001 and write only to /data and /tmp. The dependencies lie in one layer, the code in one above it.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH
RUN groupadd --gid 10001 terrarium \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp terrarium \
 && install -d -o terrarium -g terrarium /data
WORKDIR /data

# ---- dependencies: a stage copies only its own list, so another line of pyproject.toml does not install torch again ----

FROM base AS requirements
COPY pyproject.toml /
RUN python <<'EOF'
import tomllib
for name, lines in tomllib.load(open("/pyproject.toml", "rb"))["dependency-groups"].items():
    open(f"/{name}.txt", "w").write("\n".join(lines) + "\n")
EOF

FROM base AS venv
RUN python -m venv /venv

FROM venv AS gateway-venv
COPY --from=requirements /gateway.txt /
RUN pip install --no-cache-dir -r /gateway.txt

FROM venv AS gpu-venv
ARG TORCH_INDEX=
# a torch with CUDA brings the triton that it was built for, one without needs none; its own tests take 130 MB
RUN pip install --no-cache-dir torch==2.13.0 ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
 && rm -rf /venv/lib/python3.*/site-packages/torch/test /venv/lib/python3.*/site-packages/torch/bin/test_*
COPY --from=requirements /gateway.txt /models.txt /
RUN pip install --no-cache-dir -r /gateway.txt -r /models.txt

# ---- the code, as a wheel ----

FROM venv AS code
RUN pip install --no-cache-dir "setuptools>=77"
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY api ./api
COPY cli ./cli
COPY kernels ./kernels
COPY migrations ./migrations
COPY store ./store
COPY terrarium ./terrarium
COPY web ./web
COPY workers ./workers
COPY worlds ./worlds
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# ---- what runs ----

FROM base AS gateway
COPY --from=gateway-venv /venv /venv
RUN --mount=from=code,source=/wheel,target=/wheel pip install --no-cache-dir --no-deps /wheel/*.whl
USER 10001:10001
EXPOSE 8420
CMD ["python", "-m", "terrarium.api.server"]

FROM base AS gpu
# for the compiled live step, torch.compile, and triton's launcher
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ libc6-dev \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/*
ENV HOME=/tmp XDG_CACHE_HOME=/tmp/cache NUMBA_CACHE_DIR=/tmp/cache/numba TRITON_CACHE_DIR=/tmp/cache/triton
COPY --from=gpu-venv /venv /venv
RUN --mount=from=code,source=/wheel,target=/wheel pip install --no-cache-dir --no-deps /wheel/*.whl
USER 10001:10001
CMD ["celery", "-A", "terrarium.workers.celery_app", "worker", "-P", "threads", "-c", "1", \
     "-Q", "cpu,gpu.train,gpu.generate", "-l", "INFO"]
