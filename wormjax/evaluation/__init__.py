"""Evaluation: predictions on worms never seen become rows, and rows become tables and figures."""
