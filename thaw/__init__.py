"""Hyperparameter search for transfer learning on images, on Ray Tune and Optuna.

The public Python API; each name is imported when it is first asked for, so ``import thaw`` costs nothing:

```python
import thaw

run = thaw.search(data={"images": "photos"}, space={"learning_rate": {"log": [1e-4, 1e-2]}}, search={"trials": 20})
print(run.best.config)
```

The four rooms ``thaw.spaces``, ``thaw.trainables``, ``thaw.search`` and ``thaw.analysis`` are links to the folders of
these names next to this package. Nothing is ever imported under its bare name.
"""

# Nothing is imported here: with `python -m thaw` this runs while the current folder, with whatever lies in it, comes
# first on the path.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from thaw.analysis.run import Run
    from thaw.search.python_api import load_run, search
    from thaw.search.sessions.resume import resume_search
    from thaw.search.sessions.tuner import run_search
    from thaw.search.settings.config import SearchConfig, load_config
    from thaw.search.version import __version__
    from thaw.trainables.bundles.bundle import Bundle, load_bundle
    from thaw.trainables.data.source import DataSource, register_data_source
    from thaw.trainables.networks.own import register_backbone

PUBLIC = {
    "Bundle": "thaw.trainables.bundles.bundle",
    "DataSource": "thaw.trainables.data.source",
    "Run": "thaw.analysis.run",
    "SearchConfig": "thaw.search.settings.config",
    "__version__": "thaw.search.version",
    "load_bundle": "thaw.trainables.bundles.bundle",
    "load_config": "thaw.search.settings.config",
    "load_run": "thaw.search.python_api",
    "register_backbone": "thaw.trainables.networks.own",
    "register_data_source": "thaw.trainables.data.source",
    "resume_search": "thaw.search.sessions.resume",
    "run_search": "thaw.search.sessions.tuner",
}
"""Public name → the module that has it."""

__all__ = [
    "Bundle",
    "DataSource",
    "Run",
    "SearchConfig",
    "__version__",
    "load_bundle",
    "load_config",
    "load_run",
    "register_backbone",
    "register_data_source",
    "resume_search",
    "run_search",
    "search",
]


def __getattr__(name: str) -> object:
    if name in PUBLIC:
        from importlib import import_module

        return getattr(import_module(PUBLIC[name]), name)
    if name == "search":
        # The package, which can be called.
        from importlib import import_module

        return import_module("thaw.search")
    raise AttributeError(f"module 'thaw' has no attribute {name!r}")
