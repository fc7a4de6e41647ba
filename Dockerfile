# A lab server, on processors and on GPUs alike: the locked torch is the CUDA build, which runs without a GPU as well.
#
#   docker build --tag tickets .
#   docker run --publish 8888:8888 tickets                   JupyterLab with the notebooks; the address is printed
#   docker run --publish 8888:8888 --gpus all tickets        the same with the GPUs of the machine
#   docker run --volume tickets:/tickets/build --gpus all tickets .venv/bin/python -m tickets run 01_winning_tickets \
#     --profile paper --device cuda                          results stay in the volume
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium git make \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home reader && mkdir /tickets && chown reader /tickets
USER reader
WORKDIR /tickets

FROM base
# the environment first: it changes only with the lock and the library's own description
COPY --chown=reader Makefile pyproject.toml requirements.lock README.md LICENSE ./
COPY --chown=reader .ci .ci
COPY --chown=reader lib lib
RUN make environment
COPY --chown=reader . .
RUN mkdir -p build data
ENV PYTHONPATH=/tickets/lib
EXPOSE 8888
CMD [".venv/bin/jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--notebook-dir=/tickets"]
