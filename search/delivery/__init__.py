"""From a finished trial to a bundle: assembled, checked, scored, described."""
