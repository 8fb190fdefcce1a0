"""``astro-objdet completion``: completion of commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

PROGRAM = "astro-objdet"
VARIABLE = "_ASTRO_OBJDET_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx, shell):
    """Print the completion script for SHELL.

    \b
    Examples:
      astro-objdet completion bash >> ~/.bashrc
      astro-objdet completion zsh >> ~/.zshrc
      astro-objdet completion fish > ~/.config/fish/completions/astro-objdet.fish
    """
    group = ctx.find_root().command
    script = get_completion_class(shell)(group, {}, PROGRAM, VARIABLE)
    click.echo(script.source())
