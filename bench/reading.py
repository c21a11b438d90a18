"""Reading: how long the REST API takes for what people ask, at 100,000 hosts and a month of events, with the ingestor
at 5,000 events a second meanwhile."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from urllib.parse import quote

import httpx

from bench import month
from bench.figure import Figure, Options, ratio
from bench.load import Load, host_name
from bench.stack import Process, Sender, Stack, free_port, stack, wait_until
from core.clock import rfc3339, utc_now

FEW_LOGS = 1_000
MESSAGES_A_SECOND, EVENTS_A_MESSAGE = 500, 10
MOST_SECONDS = 400  # that the load lasts
REQUESTS = 100
_SLOW_FACTOR = 5  # times the p95 of /livez, where a machine is slow
_ORDERS = ("last_seen", "total_events", "score", "since", "os_type")
_OTHER_LISTS = [
    f"/hosts?limit=50&{query}"
    for query in (
        *(f"sort={sign}{name}" for name in _ORDERS for sign in ("", "-")),
        "sort=-state", "sort=-hostname", "tag=berlin", "os_type=MACOS", "state=offline", "state=late&tag=db",
        "tag=prod&sort=-total_events", "os_type=LINUX&sort=last_seen", "q=77&tag=web&sort=-score",
        "state=online&sort=-since",
    )
]  # fmt: skip


class Client:
    """One who asks the API, over a connection that stays."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"api-key": key, "accept-encoding": "identity"}, timeout=60)

    def seconds(self, address: str) -> float:
        begun = time.monotonic()
        self.get(address)
        return time.monotonic() - begun

    def get(self, address: str) -> httpx.Response:
        answer = self._client.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} is answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def p95_ms(self, addresses: Iterable[str]) -> float:
        return statistics.quantiles([self.seconds(address) * 1000 for address in addresses], n=20)[-1]


def measure_reading(options: Options) -> list[Figure]:
    """Quietly at few and at many logs, in turns; then all of it at many, beside the load."""
    rows, hosts = options.scaled(options.rows), options.scaled(month.HOSTS)
    now = utc_now()
    with stack(options.database) as made:
        month.fill_hosts(made.store, hosts, now)
        for first in range(0, rows, 500_000):
            month.fill_logs(made.store, hosts, first, min(500_000, rows - first), rows, now)
            options.say(f"reading: {min(first + 500_000, rows):,} of {rows:,} rows")
        month.settle(made.store)
        api, client = start_api(made)
        with stack(options.database) as small:
            month.fill_hosts(small.store, hosts, now)
            month.fill_logs(small.store, hosts, 0, FEW_LOGS, rows, now)
            month.settle(small.store)
            figures = list(_measure_growth(client, start_api(small)[1], rows))
        made.start_ingestor()
        sender = Sender(
            made, Load(MESSAGES_A_SECOND * EVENTS_A_MESSAGE * MOST_SECONDS, EVENTS_A_MESSAGE, rate=MESSAGES_A_SECOND)
        )
        sender.begin()
        before, begun = made.newest_id(), time.monotonic()
        figures += _measure_all(client, options, hosts, now)
        figures += _measure_memory(client, api)
        stored = (made.newest_id() - before) / (time.monotonic() - begun)
        sender.stop()
    asked = MESSAGES_A_SECOND * EVENTS_A_MESSAGE
    figures.append(Figure("reading: events stored meanwhile", f"{stored:,.0f}/s", f"{asked:,}/s", stored > 0.9 * asked))
    return figures


def start_api(made: Stack) -> tuple[Process, Client]:
    """The API's process, and a client with its key."""
    port = free_port()
    made.environment["HEIMDALL_HTTP_PORT"] = str(port)
    process = made.start("api", "-m", "heimdall", "api")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/livez").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "the API answers")
    return process, Client(url, made.home.api_key.read_text().strip())


def _measure_growth(many: Client, few: Client, rows: int) -> Iterator[Figure]:
    """What takes longer with so many logs; one request to each in turn, so that both meet the same machine."""
    for address, times in (("/hosts", 10), ("/hosts?limit=50", REQUESTS)):
        for one in (many, few):  # neither is to read its tables for the first time
            one.get(address)
        pairs = [(many.seconds(address), few.seconds(address)) for _ in range(times)]
        one, other = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        name = f"{address}: at {rows:,} logs ÷ at {FEW_LOGS:,}"
        yield Figure(
            name, ratio(one, other), "≤ 1.1", one <= 1.1 * other, f"{one * 1000:.1f} ms and {other * 1000:.1f} ms"
        )


def _measure_all(client: Client, options: Options, hosts: int, now: datetime) -> list[Figure]:
    requests = REQUESTS // 5 if options.quick else REQUESTS
    alive = client.p95_ms("/livez" for _ in range(2 * requests))
    chance = random.Random(7)

    def judge(name: str, target: float, addresses: Iterable[str], detail: str = "") -> Figure:
        p95, bound = client.p95_ms(addresses), max(target, _SLOW_FACTOR * alive)
        told = detail or f"bound {bound:.0f} ms"
        return Figure(f"{name}, p95", f"{p95:.1f} ms", f"{target:.0f} ms", p95 <= bound, told)

    def many(make: Callable[[], str], times: int = requests) -> Iterator[str]:
        return (make() for _ in range(times))

    def host() -> str:
        return host_name(chance.choice((chance.randrange(month.BUSY), chance.randrange(hosts))))

    def day() -> str:
        since = now - timedelta(days=chance.randrange(1, month.DAYS))
        return f"since={quote(rfc3339(since))}&until={quote(rfc3339(since + timedelta(days=1)))}"

    others = {address: client.p95_ms([address] * max(requests // 5, 2)) for address in _OTHER_LISTS}
    slowest = max(others, key=lambda address: others[address])
    list_, events = "/hosts?limit=50", "/events?limit=50"
    whole = f"/events/histogram?since={quote(rfc3339(now - timedelta(days=month.DAYS)))}"
    return [
        Figure("/livez, p95", f"{alive:.1f} ms", "", None),
        judge("/hosts?limit=50, worst first", 20, _pages(client, list_, requests)),
        judge("… by name", 20, _pages(client, f"{list_}&sort=hostname", requests)),
        judge("… a part of the name", 20, many(lambda: f"{list_}&q={chance.randrange(100, 10_000)}")),
        judge("… any other filter or order", 50, [slowest] * requests, f"the slowest: {slowest}"),
        judge("/summary", 50, ["/summary"] * requests),
        judge("/events, newest", 30, _pages(client, events, requests)),
        judge("… by host", 30, many(lambda: f"{events}&source_host={host()}")),
        judge("… by type and time", 50, many(lambda: f"{events}&event_type={chance.choice(month.TYPES)}&{day()}")),
        judge("… a common word", 100, [f"{events}&q={month.COMMON}"] * requests),
        judge("… a rare word, with a day", 300, many(lambda: f"{events}&q={month.RARE}&{day()}", requests // 4)),
        judge("/events/histogram of 30 days", 100, [whole] * requests),
        judge("/hosts/{host}", 30, many(lambda: f"/hosts/{host()}")),
    ]


def _pages(client: Client, address: str, count: int) -> Iterator[str]:
    """The address of the first page, and of those behind it."""
    following = None
    for _ in range(count):
        asked = address if following is None else f"{address}&cursor={following}"
        yield asked
        following = client.get(asked).json()["next"]


def _measure_memory(client: Client, api: Process) -> list[Figure]:
    before = api.peak_megabytes()
    whole = max(client.seconds("/hosts") for _ in range(3))
    peak = api.peak_megabytes()
    return [
        Figure("/hosts, whole", f"{whole:.2f} s", "1.5 s", whole <= 1.5),
        Figure("… memory of the API at most", f"{peak:.0f} MB", "300 MB", peak <= 300, f"{before:.0f} MB before"),
    ]
