"""Runs the benchmarks and prints the table."""
from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import sys
import traceback

from harness.server import Server
from harness.site import Site

from . import cdp, density, files, lifecycle, memory, playwright, pool, processes, replays, screen, standby, stream, throughput
from .context import Context
from .table import Row, Table

BENCHMARKS = {
    "lifecycle": lifecycle.cold_create,
    "drivers": lifecycle.drivers,
    "hot": pool.hot,
    "hot-drivers": pool.hot_drivers,
    "waves": pool.waves,
    "standby": standby.standby,
    "changes": standby.live_changes,
    "flat": standby.flat,
    "throughput": throughput.throughput,
    "playwright": playwright.execute,
    "exec": processes.exec_round_trip,
    "execs": processes.exec_throughput,
    "status": processes.status,
    "stream": stream.stdout_stream,
    "lag": stream.lag,
    "files": files.files,
    "cdp": cdp.cdp,
    "screen": screen.screenshots,
    "replays": replays.replays,
    "memory": memory.idle,
    "density": density.density,
    "sessions": memory.twenty_sessions,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds, to see that everything runs")
    parser.add_argument("--only", default="", metavar="NAME,...", help="these alone")
    parser.add_argument("--list", action="store_true", help="say which there are")
    args = parser.parse_args()
    if args.list:
        print("\n".join(BENCHMARKS))
        return 0
    if os.geteuid() != 0:
        print("bench/run needs root: it enters a session's network namespace for the direct connection it compares with", file=sys.stderr)
        return 2
    chosen = [name for name in args.only.split(",") if name] or list(BENCHMARKS)
    site = Site()
    # the log level of production; sessions as many as the benchmarks hold at once; none that wait or
    # stand by, which have benchmarks of their own
    server = Server(private_hosts=[site.host], extra_env={"BROWSERD_MAX_SESSIONS": "64", "BROWSERD_LOG": "warn", "BROWSERD_POOL": "off", "BROWSERD_STANDBY_SECONDS": "0"})
    table = Table()
    failed = 0
    try:
        context = Context(server, site, table, args.quick)
        for name in chosen:
            print(f"{name}:", flush=True)
            # each has a session of its own, so that none inherits what another left behind
            connection = context.connection()
            browser = context.create(connection, memory="4GiB")
            try:
                BENCHMARKS[name](context, browser)
            except Exception as error:
                traceback.print_exc()
                failed += 1
                table.rows.append(Row(name, "", [], note=f"failed: {error}"))
            finally:
                connection.close()
                # one of its own: the server closes what is idle for as long as some benchmarks take
                connection = context.connection()
                context.delete(connection, browser["session_id"])
                connection.close()
    finally:
        server.stop()
        server.discard()
        site.close()
    text = table.markdown()
    results = pathlib.Path(__file__).parents[1] / "results"
    results.mkdir(exist_ok=True)
    path = results / f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}.md"
    path.write_text(text)
    print(f"\n{text}\nwritten to bench/results/{path.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
