"""`python -m mefcli`, and the `mef` entry point."""

from __future__ import annotations


def main() -> None:
    from mefcli.cli.app import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
