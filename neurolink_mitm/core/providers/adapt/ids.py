"""Adapts the ids of tool calls to the form that a provider takes (`Traits.id_form`)."""
