"""`heimdall setup`: what containers need before they start, written to the volumes that they share.

Each file is made when it is absent and kept when it is there, so that a second start changes nothing.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from broker import mosquitto
from broker.identities import make_identities, write_identities
from core.errors import Unavailable
from core.home import Home, read_secret, write_secret
from core.settings import Settings

# where the image eclipse-mosquitto has it
CONTAINER_PLUGIN = Path("/usr/lib/mosquitto_dynamic_security.so")

_log = logging.getLogger("setup")


def write_files(settings: Settings, home: Home, broker_folder: str | None = None) -> None:
    """Write the services' credentials, the broker's files, the API key and the database's password.

    `broker_folder` (default: `broker` in the home) gets `mosquitto.conf`, `dynsec.json` and the store's
    folder; the broker's container must have it at the same path, and run as the same user. The password of a
    PostgreSQL without one in its URL lies in `database` below the home: `password` is for the server,
    `pgpass` for libpq. No agent gets an identity: in containers none runs.

    Raises `Invalid` for a damaged file and `Unavailable` when a folder cannot be written.
    """
    home.prepare()
    try:
        _write_broker(settings, home, Path(broker_folder) if broker_folder else home.broker)
        home.make_api_key(settings.api_key)
        _write_database(settings, home.path / "database")
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be written ({error.strerror}): see who owns its folder") from error
    _log.info("done; the API key is in %s: docker compose exec api cat %s", home.api_key, home.api_key)


def _write_broker(settings: Settings, home: Home, folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    dynsec = folder / "dynsec.json"
    write_identities(dynsec, make_identities(home, None))
    # an empty address: a container's network is its own
    listeners = [mosquitto.Listener("", settings.broker.port)]
    write_secret(folder / "mosquitto.conf", mosquitto.write_configuration(CONTAINER_PLUGIN, dynsec, listeners, data))


def _write_database(settings: Settings, folder: Path) -> None:
    url = urlsplit(settings.database_url)
    if url.scheme != "postgresql" or url.password:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / "password").exists():
        # letters and digits alone: neither a pgpass file nor a shell reads them as something else
        write_secret(folder / "password", secrets.token_hex(32) + "\n")
    password = read_secret(folder / "password")
    name = url.path.lstrip("/") or "*"
    write_secret(folder / "pgpass", f"{url.hostname}:{url.port or 5432}:{name}:{url.username or '*'}:{password}\n")
