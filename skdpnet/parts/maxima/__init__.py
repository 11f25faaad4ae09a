"""The maximum of each part over the regions: everything about its speed."""
