"""Decodes, forecasts and infers the graph of recordings with trained models; no annotation is needed.

python -m experiments.predict --model=runs/generalize --data=FILE_OR_FOLDER --output=FOLDER
"""

from wormjax.commands import run_command

if __name__ == "__main__":
    run_command("predict")
