"""``python -m astro_objdet`` is ``astro-objdet``."""

from astro_objdet.cli.main import run

if __name__ == "__main__":
    run()
