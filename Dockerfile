# One image for every service of Heimdall: the command says which.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/heimdall
COPY requirements/server.txt requirements/
# these and no others: pip refuses a file whose hash is not in the list
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/heimdall/bin/pip install --disable-pip-version-check --require-hashes -r requirements/server.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip /opt/heimdall/bin/pip install --disable-pip-version-check --no-deps . \
 && /opt/heimdall/bin/pip check

FROM python:3.13-slim
# 1883 is also the user of the image eclipse-mosquitto: so `setup` writes the broker's files without being root.
# A new volume takes owner and mode of the folder that it is mounted on.
RUN groupadd --gid 1883 heimdall \
 && useradd --uid 1883 --gid heimdall --no-create-home --home-dir /var/lib/heimdall --shell /usr/sbin/nologin heimdall \
 && install -d -o heimdall -g heimdall -m 0700 /var/lib/heimdall /var/lib/heimdall/database /var/lib/heimdall-broker \
    /run/monitoring /run/prometheus /run/grafana
COPY --from=build /opt/heimdall /opt/heimdall
ENV PATH=/opt/heimdall/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEIMDALL_HOME=/var/lib/heimdall
USER heimdall
EXPOSE 8010
ENTRYPOINT ["heimdall"]
