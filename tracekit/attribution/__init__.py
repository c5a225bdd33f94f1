"""To what each nanosecond belongs: launch, op, module, stage, phase, category, cause, bound."""
