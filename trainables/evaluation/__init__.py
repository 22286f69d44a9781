"""From logits to figures: metrics, intervals, calibration, thresholds, label sets."""
