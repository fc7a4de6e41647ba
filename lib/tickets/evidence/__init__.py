"""From records to verdicts: claims, contrasts, rules and gates."""
