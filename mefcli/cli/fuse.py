"""`mef fuse`: one bracket in, one photograph out."""

from __future__ import annotations

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli.photograph import Way, one_photograph
from mefcli.estimate import estimate
from mefcli.job import Job


@o.with_groups
def fuse(
    files: o.Files,
    output: o.Output = None,
    ev: o.Ev = None,
    report: o.Report = None,
    dry_run: o.DryRun = False,
    *,
    job: Job,
    talk: o.Talk,
) -> None:
    """Fuse one bracket into one photograph.

    Takes RAW, JPEG, TIFF, PNG and HEIF. Frames are sorted by the exposure their EXIF records, else by their
    brightness; the order you name them in does not matter. Sources are never changed.

    Examples:
    mef fuse IMG_01.jpg IMG_02.jpg IMG_03.jpg        writes IMG_01_fused.tif
    mef fuse *.CR3 -o sunset.tif -o sunset.jpg       a 16-bit TIFF and a JPEG
    mef fuse a.png b.png c.png --ev -2,0,2 -o d.png  files that record no exposure
    mef fuse *.jpg -o beach.jpg --hdr                windows, lamps and suns keep their light, in a gain map
    mef fuse *.jpg --report fused.html               also a page to look closely
    mef fuse *.jpg --dry-run                         what would happen
    """
    way = Way(lambda: (api.plan(files, ev=ev, job=job), job), api.check, estimate, api.fuse_bracket)
    one_photograph(way, files, output, report=report, dry_run=dry_run, talk=talk)
