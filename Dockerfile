# One image, several commands: `migrate`, `topics apply`, `run publisher|checker|catalog|launcher`, and the command line itself.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements/runtime.txt requirements/inspector.txt /requirements/
RUN /venv/bin/pip install --require-hashes -r /requirements/runtime.txt -r /requirements/inspector.txt

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Image Commons" \
      org.opencontainers.image.description="Community images: checked, published, listed, launched, withdrawn" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-or-later"
# A volume at /spool takes its owner from the folder here.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin imagecommons && install -d -o imagecommons -m 0700 /spool
COPY --from=build /venv /venv
# What the inspector is confined by; the checker refuses to work without it.
RUN python -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")'
COPY shared /app/shared
COPY services /app/services
COPY cli /app/cli
COPY stack/__init__.py /app/stack/__init__.py
# Nobody can write it later: without bytecode each inspection would compile the inspector anew.
RUN python -m compileall -q --invalidation-mode unchecked-hash /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
ENTRYPOINT ["python", "-m", "cli"]
CMD ["--help"]
