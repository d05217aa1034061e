"""wormjax: models of C. elegans whole-brain activity that hold for worms never seen."""

__version__ = "0.1.0"
