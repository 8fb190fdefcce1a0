"""``astro-objdet doctor``: is everything there, and how to get what is not."""

import dataclasses
import json

import click

from astro_objdet.cli.messages import spoken_warnings, table_lines
from astro_objdet.cli.options import json_option

__all__ = ["doctor"]


@click.command()
@json_option
@click.pass_context
def doctor(ctx, as_json):
    """Check versions, device, memory, disk and weights.

    Says of what is missing how to get it. Exit code 0 if detecting works, 1 if not.

    \b
    Example:
      astro-objdet doctor
    """
    from astro_objdet.doctor import doctor as run_doctor

    with spoken_warnings(quiet=True):
        checks = run_doctor()
    failed = [check for check in checks if check.status == "fail"]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        rows = [(check.name, check.status.rjust(4)) for check in checks]
        lines = table_lines(("check", "    "), rows)
        next(lines)
        for line, check in zip(lines, checks, strict=True):
            click.echo(f"{line}  {check.detail}")
        for check in checks:
            if check.remedy:
                click.echo(f"\n{check.name}: {check.remedy}")
        click.echo("\nnot usable yet: see above" if failed else "\nready to detect")
    ctx.exit(1 if failed else 0)
