"""`python -m glue_pkgmgr`: the command line without its console script."""

from glue_pkgmgr.cli.main import run

run()
