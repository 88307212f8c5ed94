# docker build -t fer-worker .                              the worker, 0.3 GB of packages
# docker build -t fer-worker:fer --target worker-fer .      with the fer library as well: 8 GB
# docker build -t fer-worker:http --target gateway .        HTTP in front of the queue
# Needs BuildKit, the plugin buildx. docs/deployment.md#images has more, of other machines too.

FROM python:3.13-slim-trixie AS base
# The root file system may be read-only; what a library wants to keep goes to /tmp.
ENV HOME=/tmp \
    PATH=/opt/fer-worker/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 fer-worker && useradd --uid 10001 --gid 10001 --no-create-home fer-worker

# An environment, which the images get without the pip that fills it.
FROM base AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_PYTHON=/opt/fer-worker/bin/python
RUN python -m venv --without-pip /opt/fer-worker

# What both projects need from others. The layers of dependencies are built anew when this changes, and
# not when the files do that it is taken from.
FROM base AS needed
WORKDIR /src
COPY scripts/print_dependencies.py constraints.txt pyproject.toml ./
COPY client/pyproject.toml client/
RUN install --mode 0644 -D --target-directory /needed constraints.txt \
    && python print_dependencies.py >/needed/worker.txt \
    && python print_dependencies.py fer >/needed/fer.txt \
    && python print_dependencies.py http >/needed/http.txt

FROM environment AS dependencies
COPY --from=needed /needed/constraints.txt /needed/worker.txt /
RUN pip install --constraint /constraints.txt --requirement /worker.txt

FROM dependencies AS dependencies-fer
COPY --from=needed /needed/fer.txt /
RUN pip install --constraint /constraints.txt --requirement /fer.txt

FROM dependencies AS dependencies-http
COPY --from=needed /needed/http.txt /
RUN pip install --constraint /constraints.txt --requirement /http.txt

# Our own code, compiled once for all images, in a folder that goes over that of the dependencies.
FROM environment AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
WORKDIR /src
COPY . .
RUN pip install --no-deps --prefix /opt/code ./client . \
    && install --mode 0644 deploy/healthcheck.py /opt/code

# What all images share: nothing of it is a build tool.
FROM base AS runtime
USER 10001:10001
ENTRYPOINT ["fer-worker"]

FROM runtime AS supervisor
# /metrics, /livez and /readyz, within the container's network.
ENV FER_WORKER_RUN_METRICS_HOST=0.0.0.0 \
    FER_WORKER_RUN_METRICS_PORT=9464
EXPOSE 9464
# Without site and the user's modules: 0.05 s of a core each time.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "/opt/fer-worker/healthcheck.py"]
CMD ["run"]

FROM supervisor AS worker-fer
USER root
# For OpenCV's wheel with a GUI, which the fer library brings along.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=dependencies-fer /opt/fer-worker /opt/fer-worker
COPY --from=build /opt/code /opt/fer-worker

FROM runtime AS gateway
# An answer other than 200 is raised: healthy is a gateway that has its broker.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --start-interval=1s \
    CMD ["python", "-I", "-S", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8012/', timeout=5)"]
EXPOSE 8012
CMD ["gateway", "--host", "0.0.0.0", "--port", "8012"]
COPY --from=dependencies-http /opt/fer-worker /opt/fer-worker
COPY --from=build /opt/code /opt/fer-worker

FROM supervisor AS worker
COPY --from=dependencies /opt/fer-worker /opt/fer-worker
COPY --from=build /opt/code /opt/fer-worker
