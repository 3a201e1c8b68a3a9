from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.doctor.examiner import FailedError, Task, examine_in_process

STATUS = {"version": "0.1.0"}


def task(home: Path, *, bundle: bool) -> Task:
    return Task(str(home), None, None, port=1, now=1.8e9, status=STATUS, bundle=bundle)


def test_a_process_examines_a_home_and_makes_the_bundle(tmp_path: Path) -> None:
    result = examine_in_process(task(tmp_path, bundle=True), os.environ)
    assert {"id", "level", "text", "fix"} == set(result.report["findings"][0])
    assert {"doctor.json", "versions.json", "status.json"} <= set(result.files)


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="the doctor's process has failed"):
        examine_in_process(task(tmp_path, bundle=False), {"PYTHONHOME": str(tmp_path)})
