"""Fetches a study's public recordings: `python -m experiments.download --study=nichols2017 --folder=recordings`."""

import os

from absl import flags

from wormjax.command_line import run
from wormjax.recordings import download

_STUDY = flags.DEFINE_string("study", None, f"the study: one of {', '.join(download.STUDIES)}", required=True)
_FOLDER = flags.DEFINE_string("folder", None, "where the files go (default: recordings/STUDY)")
_BASE_URL = flags.DEFINE_string("base_url", None, "a mirror that holds the files under their names")


def main(_):
    manifest = download.load_manifest(_STUDY.value)
    folder = _FOLDER.value or os.path.join("recordings", _STUDY.value)
    for path in download.download_study(_STUDY.value, folder, _BASE_URL.value):
        print(path)
    print(f"use them with: --config.data.study={_STUDY.value} --config.data.path={folder}")
    print(f"source:  {manifest['home']}")
    print(f"licence: {manifest['licence']}")
    print(f"cite:    {manifest['citation']}")


if __name__ == "__main__":
    run(main)
