"""What was measured, as text: one module to a section, nothing here measures anything."""
