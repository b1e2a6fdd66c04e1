"""Files of the workflow: atomic writes, seals (checksums) and provenance records."""
