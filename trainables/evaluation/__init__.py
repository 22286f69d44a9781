"""From logits to results: metrics, confidence intervals, calibration, thresholds, label sets."""
