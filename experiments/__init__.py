"""The programs of wormjax; run one with python -m experiments.NAME."""
