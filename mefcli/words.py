"""Text of strangers, such as the names of files, as people may see it on a terminal or a page."""

from __future__ import annotations

import re

# Control characters but tab and line feed, marks that turn the direction of writing, bytes that are no text.
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    r"""Text without what would command a terminal or turn its lines around; that is written as \x1b."""
    return COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)
