"""The identities' file (`dynsec.json`) of Mosquitto's dynamic-security plugin.

The plugin owns the file while the broker runs and writes it anew at each command. Before a start we write
what is ours into it, the services and this machine's agent, and keep the rest: hosts enrolled live.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from broker import rights
from core.errors import Invalid, Unavailable
from core.home import SERVICES, Credential, Home, write_secret
from core.topics import check_host

# The plugin's own default. Our passwords are 256 random bits, which no number of rounds makes harder to
# guess, while a fleet that reconnects at once pays for each.
ITERATIONS = 101


class Identity(NamedTuple):
    """A user of the broker with its one role. `client_id` binds it to one client id; `None` leaves it free."""

    credential: Credential
    role: str
    rights: list[rights.Right]
    client_id: str | None


def make_identities(home: Home, host: str | None) -> list[Identity]:
    """The services' identities and that of `host`'s agent, their credentials made where there are none.

    Raises `Invalid` when `host` cannot be a host's name or a credential's file is damaged.
    """
    if host is not None:
        check_host(host, "HEIMDALL_HOST")
    made = [
        Identity(
            home.make_credential(name, rights.service_user(name)),
            rights.service_role(name),
            rights.service_rights(name),
            # not bound: several instances of a service at once are normal
            None,
        )
        for name in SERVICES
    ]
    if host is not None:
        agent_rights = rights.agent_rights(host)
        made.append(Identity(home.make_credential("agent", host), rights.agent_role(host), agent_rights, host))
    return made


def write_identities(path: Path, identities: Iterable[Identity]) -> None:
    """Write `identities` into the plugin's file at `path`; whatever else it holds stays.

    An identity that was disabled stays disabled: a revocation outlives a restart.

    Raises `Invalid` when the file is there and cannot be understood, and leaves it as it is.
    """
    kept = _read(path)
    clients = {client["username"]: client for client in kept["clients"]}
    roles = {role["rolename"]: role for role in kept["roles"]}
    for identity in identities:
        user = identity.credential.user
        clients[user] = _client(identity, clients.get(user, {}))
        roles[identity.role] = _role(identity)
    written = {
        **kept,
        "defaultACLAccess": rights.DEFAULT_ACCESS,
        "clients": list(clients.values()),
        "roles": list(roles.values()),
    }
    # the plugin writes it readable by all, unless the broker's umask forbids: ours did not always run it
    if path.exists():
        path.chmod(0o600)
    # a broker that runs may be writing it too: what says the same already is left alone
    if _sorted(written) != _sorted(kept):
        write_secret(path, json.dumps(written, indent="\t") + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {"clients": [], "groups": [], "roles": []}
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror}): give yourself the right to it") from error
    try:
        kept = json.loads(text)
        for key, name in (("clients", "username"), ("roles", "rolename")):
            if not all(isinstance(entry[name], str) for entry in kept.setdefault(key, [])):
                raise TypeError(f"an entry of {key} has no {name}")
    # a RecursionError is what deep nesting gives
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"{path} is damaged ({error!s:.120}): bring it back from a backup, or move it away "
            "to have a new one made; hosts that were enrolled must then be enrolled again"
        ) from error
    return dict(kept)


def _sorted(content: dict[str, Any]) -> dict[str, Any]:
    """`content` in an order of ours, for the plugin writes it in its own."""
    roles = [
        {**role, "acls": sorted(role.get("acls", []), key=lambda acl: json.dumps(acl, sort_keys=True))}
        for role in content["roles"]
    ]
    return {
        **content,
        "clients": sorted(content["clients"], key=lambda client: str(client["username"])),
        "roles": sorted(roles, key=lambda role: str(role["rolename"])),
    }


def _client(identity: Identity, kept: dict[str, Any]) -> dict[str, Any]:
    password = identity.credential.password
    client: dict[str, Any] = {"username": identity.credential.user}
    if identity.client_id is not None:
        client["clientid"] = identity.client_id
    if kept.get("disabled") is True:
        client["disabled"] = True
    client["roles"] = [{"rolename": identity.role}]
    # the same salt again when the password has not changed, so that an unchanged file is not written
    client |= _hashed_again(password, kept) or hash_password(password)
    return client


def _role(identity: Identity) -> dict[str, Any]:
    acls = [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in identity.rights]
    return {"rolename": identity.role, "acls": acls}


def hash_password(password: str, salt: bytes | None = None) -> dict[str, str | int]:
    """`password` as the plugin keeps it: PBKDF2 with SHA-512, 64 bytes; `salt` is 12 bytes, new when absent."""
    salt = os.urandom(12) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return {
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


def _hashed_again(password: str, kept: dict[str, Any]) -> dict[str, str | int] | None:
    """The hash of `password` as `kept` has it; `None` when that is of another one or not of ours."""
    old, salt = kept.get("password"), kept.get("salt")
    if not isinstance(old, str) or not isinstance(salt, str):
        return None
    try:
        again = hash_password(password, base64.b64decode(salt, validate=True))
    except ValueError:
        return None
    return again if hmac.compare_digest(str(again["password"]), old) else None
