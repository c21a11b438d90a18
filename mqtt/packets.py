"""Packets in what a connection has read, by the sans-IO codec `mqtt5`."""

from __future__ import annotations

import mqtt5


def split_packets(data: bytes) -> tuple[list[mqtt5.Packet], bytes, str]:
    """The whole packets at the beginning of `data`, what has come of the next, and why it cannot be read, or "".

    Of what cannot be read nothing is left: the connection is of no use any more (MQTT 5, section 4.13).
    """
    packets: list[mqtt5.Packet] = []
    view, at = memoryview(data), 0
    try:
        while at < len(data):
            packet, size = mqtt5.read(view[at:])
            at += size
            packets.append(packet)
    except IndexError:
        pass  # the rest of the packet comes with the next read
    except BaseException as error:
        # the codec panics at text that is not UTF-8, and a panic is a BaseException of its own kind
        if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
            raise
        return packets, b"", f"malformed packet: {error}"
    return packets, data[at:], ""
