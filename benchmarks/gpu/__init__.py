"""For GPU machines: packs what one without network access needs, and runs measurements there. See README.md here."""
