"""One module per estimator; the module's name is the estimator's name everywhere (config, files, figures)."""
