"""Which provider, model, version, prompt and thresholds made each part of a memory."""
