"""The provenance of a run in words."""

from __future__ import annotations

from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed
from thaw.spaces.words import counted


def made_with(run: RunData) -> dict[str, str]:
    """Name → text, from ``provenance.json`` and the search file."""
    known = run.provenance
    data, hardware, search = known["data"], known["hardware"], run.settings["search"]
    images = listed([f"{count:,} for {split}" for split, count in data["images"].items()])
    precision = known["precision"]
    return {
        "images": f"{images}; {data['rejected']:,} rejected",
        "labels": f"{len(data['classes']):,}",
        "data fingerprint": data["fingerprint"],
        "search": f"{search.get('algorithm', 'unknown')}, seed {search.get('seed', 'unknown')}, scheduler "
        f"{run.settings['scheduler']['type']}",
        "precision": precision if isinstance(precision, str) else ", ".join(f"{k}: {v}" for k, v in precision.items()),
        "processor": f"{hardware['processor']}, {counted(hardware['cpus'], 'core')}",
        "GPUs": ", ".join(hardware["gpus"]) or "none",
        "Thaw": known["thaw"],
        "revision": known["git_revision"] or "none",
        "Python": known["python"],
        **known["packages"],
    }
