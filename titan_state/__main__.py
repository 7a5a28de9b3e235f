"""`python -m titan_state`: the command line, nothing else."""

from titan_state.cli import main

main()
