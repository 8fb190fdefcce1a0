"""The command ``astro-objdet``: one file per subcommand, one library call each."""
