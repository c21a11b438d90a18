"""What the watch remembers of a host that was forgotten: nothing, within a look-around."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import mqtt5
import pytest
from watch_fleet import *  # noqa: F403

from core import topics
from core.clock import utc_now
from core.messages import Status
from store import HeldVerdict, Store, open_store
from watch.fleet import Fleet, moment
from watch.forgotten import ForgottenHosts
from watch.hearing import Hearing

NOW = 1_800_000_000.0
