"""Arrays in the cache, arrays larger than memory, and files replaced in one step."""
