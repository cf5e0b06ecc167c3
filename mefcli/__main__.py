"""`python -m mefcli`, and the `mef` entry point."""

from __future__ import annotations


def main() -> None:
    import os
    import sys
    import threading

    from mefcli.cli import interrupts, streams

    interrupts.end_at_once()
    streams.settle()
    from mefcli.cli.app import run

    code = streams.exit_code(run())
    if any(thread.name == "import of the engine" and thread.is_alive() for thread in threading.enumerate()):
        # After an early refusal nobody needs torch; Python would wait two seconds for its import to end.
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
