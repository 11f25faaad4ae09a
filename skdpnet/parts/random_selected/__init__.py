"""Random regions as parts that all classes share: selected, then improved jointly."""
