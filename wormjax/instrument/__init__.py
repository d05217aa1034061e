"""The instrument: estimators that are trained in memory and answer for one recording. `import wormjax` offers them.

They follow scikit-learn: parameters in `__init__` only, `fit` returns self, fitted attributes end in an underscore.
Each is a thin cover over the functions of `wormjax.tasks`, so that its numbers are those of the programs.
"""
