"""From image files and label files to pixels, labels and splits."""
