"""The mouth: the process that delivers a channel's notices, started when there is one and ended when there is none."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import msgspec

from core.clock import rfc3339
from core.process import end_with_parent
from store.notices import Notice
from watch.channels import Told
from watch.rules import Channel

ANSWER_SECONDS = 60.0  # for a call and, the first time, for what is loaded
_TONES = {"opened": "failure", "flapping": "warning", "partly": "warning", "resolved": "success", "test": "info"}


class Mouth:
    """Delivers notices one after the other. Addresses, which may hold secrets, go by its standard input."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._process: asyncio.subprocess.Process | None = None

    async def say(self, notice: Notice) -> str:
        """Deliver it; why it could not be, or an empty text."""
        words = notice.words
        told = Told(
            self._channel.url, notice.id, notice.channel, words.kind, words.title, words.body, notice.incident,
            rfc3339(notice.made_at), _TONES[words.kind], self._channel.allow_private,
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                process = self._process or await self._start()
                answer = await self._ask(process, told)
        except TimeoutError:
            await self.close()
            return f"no answer within {ANSWER_SECONDS:.0f} s"
        except OSError as error:
            await self.close()
            return f"the process that was to deliver it has failed: {error}"
        if not answer:
            await self.close()
            return "the process that was to deliver it has ended"
        return str(json.loads(answer)["error"])

    async def _start(self) -> asyncio.subprocess.Process:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "watch.deliver", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            preexec_fn=end_with_parent(signal.SIGKILL),
        )  # fmt: skip
        return process

    async def _ask(self, process: asyncio.subprocess.Process, told: Told) -> bytes:
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        process.stdin.write(msgspec.json.encode(told) + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
