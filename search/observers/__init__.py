"""What listens to a search: TensorBoard, the terminal, tables, checkpoints, Optuna's mirror."""
