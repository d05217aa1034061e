"""Fetches a study's public recordings: `python -m experiments.download --study=nichols2017 --folder=recordings`."""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("download")
