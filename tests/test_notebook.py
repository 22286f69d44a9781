"""The notebook in examples/ runs from top to bottom, and shows its progress and its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples" / "search.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [str(cell.get("outputs", "")) for cell in notebook.cells]
    assert "4 of 4 trials done" in outputs[1], "the live view, as it was last"
    assert "learning_rate" in outputs[3] and "image/png" in outputs[5]
    assert (tmp_path / "digits-model" / "bundle.json").is_file()
