"""`python -m anonymiser` is the `anonymise` command."""

from anonymiser.cli import main

main(prog_name="anonymise")
