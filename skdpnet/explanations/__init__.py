"""Explanations of decisions by parts and regions, as data; `display` draws them."""
