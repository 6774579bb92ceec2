"""How help texts are laid out: examples at the end, subcommands in the order of their use."""

from __future__ import annotations

import click


def examples(*lines: str) -> str:
    """Return `lines`, each a command, as the end of a help text; click is told to keep them as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class InOrder(click.Group):
    """A group that lists its commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)
