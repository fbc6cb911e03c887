"""Where jobs are kept: `moves` decides, `group` batches, one package per database writes."""
