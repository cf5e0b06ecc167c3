"""The `mef` program: the table of commands, and the one place where errors become words and exit codes.

Exit codes: 0 done, 1 something failed, 2 the command line cannot be carried out, 130 interrupted.
To add a command, write a function in a file of its own and one line in COMMANDS.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from mefcli.cli import interrupts, memory, state, threads
from mefcli.cli.lazy import Entry, LazyGroup
from mefcli.errors import MefError, UsageError, flag
from mefcli.words import shown

# Some releases of Typer carry their own copy of Click, others import it.
ClickException: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

PHOTOGRAPHS = "Photographs"
NETWORKS = "Networks and measurements"
HERE = "This installation"

COMMANDS = (
    Entry("fuse", "mefcli.cli.fuse:fuse", "Fuse one bracket into one photograph.", PHOTOGRAPHS),
    Entry("focus", "mefcli.cli.focus:focus", "Fold a focus stack into one sharp photograph.", PHOTOGRAPHS),
    Entry(
        "infrared",
        "mefcli.cli.infrared:infrared",
        "Fuse a visible and an infrared picture into one.",
        PHOTOGRAPHS,
    ),
    Entry("depth", "mefcli.cli.depth:depth", "Enlarge a depth map by a colour picture.", PHOTOGRAPHS),
    Entry("batch", "mefcli.cli.batch:batch", "Fuse every bracket of a card.", PHOTOGRAPHS),
    Entry("hdr", "mefcli.cli.hdr:hdr", "Merge a bracket into linear light: OpenEXR, Radiance.", PHOTOGRAPHS),
    Entry("align", "mefcli.cli.align:align", "Align the frames of a bracket, without fusing.", PHOTOGRAPHS),
    Entry("info", "mefcli.cli.info:info", "Show the exposures of files before fusing.", PHOTOGRAPHS),
    Entry("config", "mefcli.cli.config:config", "Show every setting and where it comes from.", PHOTOGRAPHS),
    Entry("eval", "mefcli.cli.eval:evaluate", "Measure results on a folder of scenes.", NETWORKS),
    Entry("compare", "mefcli.cli.compare:compare", "See several models side by side.", NETWORKS),
    Entry(
        "models",
        "mefcli.cli.models:COMMANDS",
        "List, verify and import models.",
        NETWORKS,
        alone="list",
    ),
    Entry("train", "mefcli.cli.train:app", "Train the networks from free data.", NETWORKS),
    Entry(
        "reproduce",
        "mefcli.cli.reproduce:reproduce",
        "Measure a paper's results and claims again.",
        NETWORKS,
    ),
    Entry("search", "mefcli.cli.search:search", "Search a network's architecture.", NETWORKS),
    Entry(
        "bench",
        "mefcli.cli.bench:COMMANDS",
        "Measure what fusion costs on this machine.",
        NETWORKS,
        alone="fusion",
    ),
    Entry("demo", "mefcli.cli.demo:demo", "Photograph a rendered room as a bracket and fuse it.", HERE),
    Entry("doctor", "mefcli.cli.doctor:doctor", "Check this installation.", HERE),
)


class Mef(LazyGroup):
    entries = COMMANDS

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        threads.settle(args[0])  # before the command's module can load the engine
        memory.settle()
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with interrupts.stopping():
            return self._invoke(ctx)

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MefError as error:
            _fail(*error.spelled(flag), 2 if isinstance(error, UsageError) else 1)
        except KeyboardInterrupt:
            _fail("Interrupted.", "No unfinished file was left behind.", interrupts.INTERRUPTED)
        except ClickException as error:
            error.__dict__["message"] = shown(str(error))  # what was typed may be a file's name
            raise
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise  # Typer's own business: it knows how to end these
        except MemoryError:
            _fail("This machine's memory does not suffice.", "Try --max-memory, or smaller pictures.", 1)
        except OSError as error:  # one that no part of the program foresaw
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}.", "Check the disk and the folder's permissions.", 1)
        except Exception as error:
            _fail(
                f"Unexpected {type(error).__name__}: {error}",
                "This is a fault in mef; run it again with --debug and report what it says.",
                1,
            )


app = typer.Typer(
    name="mef",
    cls=Mef,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="mef demo shows it at work. mef COMMAND --help explains a command, with examples.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from mefcli.version import version

        typer.echo(f"mef {version()}")
        raise typer.Exit


@app.callback()
def mef(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Turns exposure brackets into one well-exposed photograph."""


def run(args: Sequence[str] | None = None) -> int:
    """Run the program; the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # file names come out as the bytes they are
    try:
        app(args=None if args is None else list(args), prog_name="mef")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def _fail(message: str, hint: str, code: int) -> NoReturn:
    if state.debug:
        import traceback

        sys.stderr.write("\n".join(map(shown, traceback.format_exc().split("\n"))))
    from mefcli.cli.screen import show_error

    show_error(message, hint)
    sys.stdout.flush()
    raise typer.Exit(code) from None
