"""Observers of a search: TensorBoard, the terminal, tables, checkpoints, Optuna's journal."""
