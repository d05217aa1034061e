"""Says what a file of recordings holds, and which trained models it fits.

python -m experiments.inspect FILE
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("inspect")
