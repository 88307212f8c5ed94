# docker build -t fer-worker .                              the worker, 0.3 GB of packages
# docker build -t fer-worker:fer --target worker-fer .      with the fer library as well: 8 GB
# docker build -t fer-worker:http --target gateway .        HTTP in front of the queue

FROM python:3.13-slim-trixie AS base
# The root file system may be read-only; what a library wants to keep goes to /tmp.
ENV HOME=/tmp \
    PATH=/opt/fer-worker/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 fer-worker && useradd --uid 10001 --gid 10001 --no-create-home fer-worker

# Dependencies come in stages of their own, which a change of our code does not build anew.
FROM base AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
# For the networks, which are compiled.
RUN apt-get update && apt-get install --yes --no-install-recommends g++
RUN python -m venv /opt/fer-worker
COPY pyproject.toml constraints.txt ./
COPY client/pyproject.toml client/
# What the projects need, without the projects: their own names are left out.
COPY scripts/print_dependencies.py /opt/
RUN python /opt/print_dependencies.py >/opt/needed.txt \
    && pip install --constraint constraints.txt --requirement /opt/needed.txt

FROM dependencies AS dependencies-fer
RUN python /opt/print_dependencies.py fer >/opt/needed.txt \
    && pip install --constraint constraints.txt --requirement /opt/needed.txt

FROM dependencies AS dependencies-http
RUN python /opt/print_dependencies.py http >/opt/needed.txt \
    && pip install --constraint constraints.txt --requirement /opt/needed.txt

FROM dependencies AS build
COPY . .
RUN pip install --no-deps ./client .

FROM dependencies-fer AS build-fer
COPY . .
RUN pip install --no-deps ./client .

FROM dependencies-http AS build-http
COPY . .
RUN pip install --no-deps ./client .

# What all images share: nothing of it is a build tool.
FROM base AS runtime
COPY deploy/healthcheck.py /opt/healthcheck.py
USER 10001:10001
# /metrics, /livez and /readyz, within the container's network.
ENV FER_WORKER_RUN_METRICS_HOST=0.0.0.0 \
    FER_WORKER_RUN_METRICS_PORT=9464
EXPOSE 9464
# Without site and the user's modules: 0.05 s of a core each time.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "/opt/healthcheck.py"]
ENTRYPOINT ["fer-worker"]
CMD ["run"]

FROM runtime AS worker-fer
USER root
# For OpenCV's wheel with a GUI, which the fer library brings along.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=build-fer /opt/fer-worker /opt/fer-worker

FROM runtime AS gateway
# An answer other than 200 is raised: healthy is a gateway that has its broker.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8012/', timeout=5)"]
EXPOSE 8012
CMD ["gateway", "--host", "0.0.0.0", "--port", "8012"]
COPY --from=build-http /opt/fer-worker /opt/fer-worker

FROM runtime AS worker
COPY --from=build /opt/fer-worker /opt/fer-worker
