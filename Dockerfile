# One image for feed, worker, Flower, the page, the simulated venue and `hip3`. No BuildKit needed.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_QUIET=1
# Install the locked dependencies, with compiled modules: the file system is read-only at run time.
COPY requirements.lock /src/
RUN python -m venv --without-pip /opt/hip3 \
    && pip --python /opt/hip3/bin/python install \
        --no-deps --only-binary :all: --require-hashes --requirement /src/requirements.lock

FROM build AS code
COPY pyproject.toml LICENSE /src/
COPY docs/package.md /src/docs/
COPY hip3_tasks /src/hip3_tasks
RUN pip --python /opt/hip3/bin/python install --target /opt/code --no-deps --no-build-isolation /src
# The services are not part of the package; they are copied beside it.
COPY celeryconfig.py /opt/code/
COPY feed /opt/code/feed
COPY workers /opt/code/workers
COPY simulator /opt/code/simulator
RUN /opt/hip3/bin/python -m compileall -q /opt/code/feed /opt/code/workers /opt/code/simulator

FROM build AS dependencies
# setuptools is only needed for the build.
RUN pip --python /opt/hip3/bin/python uninstall --yes setuptools

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="hip3-tasks" \
      org.opencontainers.image.description="Celery follow-ups for HIP-3 signals" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
ENV PATH=/opt/hip3/bin:/opt/code/bin:$PATH \
    PYTHONPATH=/opt/code \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
# A new volume inherits its owner from these directories.
RUN mkdir -p /hip3/data /hip3/flower && chown -R 1000:1000 /hip3
# A layer of its own, so that a new version shares the dependencies, the larger part, with the old version.
COPY --from=dependencies /opt/hip3 /opt/hip3
COPY --from=code /opt/code /opt/code
COPY docker/flower /opt/code/bin/flower-with-password
COPY docker/page /opt/code/bin/page-with-password
USER 1000:1000
# The default data directory is data/VENUE/signals below this one.
WORKDIR /hip3
CMD ["hip3", "--help"]
